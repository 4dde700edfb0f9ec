"""Several raylets on this machine as one cluster: real processes, addressed over TCP as on several machines."""

import time

import psutil
import pytest
from gone import wait_gone

import ray
from ray.cluster_utils import Cluster

MIB = 1024 * 1024


class Nodes:
    """A cluster and this process as its driver, on the head."""

    def __init__(self, head_args):
        self.cluster = Cluster(True, True, {"object_store_memory": 128 * MIB, **head_args})
        self.head_id = self.cluster.head_node.node_id

    def add(self, **node_args):
        return self.cluster.add_node(**{"object_store_memory": 128 * MIB, **node_args})


def fail(node):
    """kill -9 of the raylet, as when a machine fails; the cluster finds out by itself."""
    node.kill_raylet()


def wait_until(condition, what, timeout_s=20):
    deadline_at_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_at_s, f"{what}: not within {timeout_s} s; nodes: {ray.nodes()}"
        time.sleep(0.02)


@pytest.fixture
def start_cluster():
    """`start_cluster(num_cpus=…)` starts a head, connects to it, and gives a `Nodes`."""
    started = []

    def start(**head_args):
        started.append(Nodes(head_args))
        return started[0]

    yield start
    processes = psutil.Process().children(recursive=True)
    for nodes in started:
        nodes.cluster.shutdown()
    assert wait_gone(processes, timeout=10) == []
