"""Several raylets on this machine as one cluster: real processes, addressed over TCP as on several machines."""

import time
from pathlib import Path

import psutil
import pytest

import ray
from ray._core.node.node import Node
from ray._private.session import session


class ExtraNode:
    """A node that joins the cluster of `ray.init`."""

    def __init__(self, num_cpus=1, resources=None, labels=None, store=80 * 1024 * 1024):
        self.node = Node(
            head=False,
            gcs_address=session.node.gcs_address,
            node_ip="127.0.0.1",
            num_cpus=num_cpus,
            num_gpus=0,
            resources=resources or {},
            labels=labels or {},
            object_store_memory=store,
        )
        self.node.start()
        self.node_id = self.node.node_id
        self.arena = Path(self.node.plasma_store_socket_name)

    def kill(self):
        """kill -9 of the raylet, as when a machine fails."""
        self.node.kill_raylet()

    def stop(self):
        self.node.stop()


class Cluster:
    def __init__(self):
        self.nodes = []

    def add(self, **kwargs):
        self.nodes.append(ExtraNode(**kwargs))
        return self.nodes[-1]

    @property
    def head_id(self):
        return session.node.node_id


def wait_until(condition, what, timeout_s=20):
    deadline_at_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_at_s, f"{what}: not within {timeout_s} s; nodes: {ray.nodes()}"
        time.sleep(0.02)


@pytest.fixture
def start_cluster():
    """`start_cluster(num_cpus=…)` is `ray.init` and gives a cluster to which nodes can be added."""
    clusters, arenas, processes = [], [], []

    def start(**kwargs):
        ray.init(**{"object_store_memory": 128 * 1024 * 1024, **kwargs})
        clusters.append(Cluster())
        return clusters[0]

    yield start
    for cluster in clusters:
        processes = psutil.Process().children(recursive=True)
        arenas = [node.arena for node in cluster.nodes]
        for node in cluster.nodes:
            node.stop()
    ray.shutdown()
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    assert [arena for arena in arenas if arena.exists()] == []
