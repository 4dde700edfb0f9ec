"""Connections are cut while both sides live: what they carried is sent again, or made elsewhere, and nobody is dead."""

import random
import socket
import threading

import psutil
import pytest
from gone import wait_gone
from polling import wait_until
from proxy import Proxy

import ray
from ray._core.node.node import Node
from ray._core.node.params import NodeParams
from ray._core.wire.reactor import Connection
from ray._private.auto_init_hook import connected_core
from ray.cluster_utils import Cluster
from ray.util.state import list_actors, list_jobs

CUTS = 25
STORE = 128 << 20


class Cutter(threading.Thread):
    """Shuts random connections of the driver down, but not that of its raylet; and those behind the proxy."""

    def __init__(self, core, proxy, seed):
        super().__init__(name="cutter")
        self._core, self._proxy = core, proxy
        self._random, self._over = random.Random(seed), threading.Event()
        self.cuts = 0

    def run(self):
        while not self._over.wait(self._random.uniform(0.02, 0.1)):
            core = self._core
            with core.lock:
                entries = core.reactor._by_fd.values()
                found = [each for each in entries if isinstance(each, Connection) and each is not core.raylet]
                if found:
                    self._random.choice(found).sock.shutdown(socket.SHUT_RDWR)
                    self.cuts += 1
            if self.cuts % 5 == 0:
                self._proxy.cut()

    def stop(self):
        self._over.set()
        self.join()


class Two:
    """A head with this driver, and a node whose way to the GCS leads through a proxy."""

    def __init__(self, **settings):
        head = {"num_cpus": 1, "object_store_memory": STORE, "_system_config": settings}
        self.cluster = Cluster(True, True, head)
        host, port = self.cluster.address.split(":")
        self.proxy = Proxy((host, int(port)))
        temp_dir = str(self.cluster.head_node.session_dir.parent)
        gcs = f"127.0.0.1:{self.proxy.port}"
        resources = {"other": 10.0}
        params = NodeParams(
            head=False, gcs_address=gcs, num_cpus=1, resources=resources, object_store_memory=STORE, temp_dir=temp_dir
        )
        self.other = Node(params)
        self.other.start()

    def is_alive(self):
        return {node["NodeID"]: node["Alive"] for node in ray.nodes()}[self.other.node_id]

    def close(self):
        processes = psutil.Process().children(recursive=True)
        ray.shutdown()
        self.other.stop()
        self.cluster.shutdown()
        self.proxy.close()
        assert wait_gone(processes, timeout=10) == []


@pytest.fixture(scope="module")
def two():
    both = Two()
    yield both
    both.close()


@ray.remote(num_cpus=0.5, max_retries=-1, scheduling_strategy="SPREAD")
def double(number):
    return 2 * number, bytes(200_000)


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class Echo:
    def say(self, word):
        return word


@ray.remote(num_cpus=0, resources={"other": 1})
class Once:
    """Never restarted: it lives there from the first call to the last."""

    def __init__(self):
        self.calls = 0

    def call(self):
        self.calls += 1
        return self.calls


def test_all_results_come_and_nobody_is_declared_dead(two):
    cutter = Cutter(connected_core(), two.proxy, 1)
    try:
        echo, once = Echo.remote(), Once.remote()
        assert ray.get(once.call.remote(), timeout=60) == 1
        cutter.start()
        first, calls = 0, 1
        while cutter.cuts < CUTS:
            numbers = range(first, first := first + 20)
            doubled = [double.remote(number) for number in numbers]
            said = [echo.say.remote(number) for number in numbers]
            made = Once.options(max_task_retries=-1).remote()  # by the GCS, over the connections that break
            assert [(value, len(blob)) for value, blob in ray.get(doubled, timeout=60)] == [
                (2 * number, 200_000) for number in numbers
            ]
            assert ray.get(said, timeout=60) == [*numbers]
            assert ray.get(made.call.remote(), timeout=60) >= 1
            ray.kill(made)
    finally:
        cutter.stop()
    wait_until(two.is_alive)
    assert ray.get(once.call.remote(), timeout=60) == calls + 1
    [job] = list_jobs()
    assert job.status == "RUNNING"
    wait_until(lambda: [each.state for each in list_actors(filters=[("class_name", "=", "Once")])].count("ALIVE") == 1)


def test_a_node_that_is_back_within_the_grace_goes_on_and_what_was_ordered_meanwhile_is_done(two):
    once = Once.remote()
    assert ray.get(once.call.remote(), timeout=60) == 1
    two.proxy.refuse()
    assert ray.get(once.call.remote(), timeout=60) == 2  # the way there does not lead through the GCS
    waiting = Once.remote()
    call = waiting.call.remote()
    assert ray.wait([call], timeout=0.5)[0] == []
    assert two.is_alive()
    two.proxy.accept()
    assert ray.get(call, timeout=60) == 1
    assert ray.get(once.call.remote(), timeout=60) == 3


def test_a_node_whose_connections_are_slow_works_all_the_same(two):
    two.proxy.delay_s = 0.1
    once = Once.remote()
    assert ray.get([once.call.remote() for _ in range(3)], timeout=60) == [1, 2, 3]
    assert ray.get([double.options(resources={"other": 1}).remote(1)], timeout=60)[0][0] == 2
    assert two.is_alive()
    two.proxy.delay_s = 0.0
