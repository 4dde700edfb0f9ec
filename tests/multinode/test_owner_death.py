"""What an owner leaves behind when it ends is freed on all nodes; but not under the hands of whoever reads it."""

import asyncio
import gc
import os
import subprocess
import sys

import msgspec
import numpy as np
import psutil
import pytest

import ray
from ray._core.common import messages as m
from ray.util.state.api import StateApiClient

from .conftest import MIB, wait_until

DRIVER = """
import sys, numpy as np, ray
ray.init(address=sys.argv[1], log_to_driver=False)
kept = [ray.put(np.ones(5 << 20, dtype=np.uint8)) for _ in range(4)]
@ray.remote(resources={"x": 1}, num_cpus=0)
def read(array):
    return array + 1
results = [read.remote(ref) for ref in kept]
ray.wait(results, num_returns=len(results), fetch_local=False)
value = ray.get(kept[0])
print("ready", flush=True)
if sys.stdin.readline() == "shutdown\\n":
    ray.shutdown()
    print("done", flush=True)
    sys.stdin.readline()
print(int(value.sum()), flush=True)
"""


def objects_in_memory():
    """Of all nodes together."""
    stores = [msgspec.msgpack.decode(blob, type=m.StoreStats) for blob in StateApiClient().dump("stores")]
    return sum(store.num_objects for store in stores)


@pytest.fixture
def driver():
    """`driver(cluster)` starts another driver, which owns eight objects in memory and four copies on two nodes."""
    started = []

    def start(nodes):
        command = [sys.executable, "-c", DRIVER, nodes.cluster.address]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_killed_driver_leaves_nothing_on_any_node(start_cluster, driver):
    nodes = start_cluster(num_cpus=0)
    nodes.add(resources={"x": 1})
    other = driver(nodes)
    wait_until(lambda: objects_in_memory() == 12, "four puts, their copies, four results")
    other.kill()
    wait_until(lambda: objects_in_memory() == 0, "all freed")


def test_a_driver_that_disconnects_keeps_the_values_that_it_has(start_cluster, driver):
    nodes = start_cluster(num_cpus=0)
    nodes.add(resources={"x": 1})
    other = driver(nodes)
    print("shutdown", file=other.stdin, flush=True)
    assert other.stdout.readline() == "done\n"
    wait_until(lambda: objects_in_memory() == 0, "all freed")
    full = [ray.put(np.zeros(20 * MIB, dtype=np.uint8)) for _ in range(6)]  # over all of the head's memory
    print(file=other.stdin, flush=True)
    assert other.stdout.readline() == f"{5 * MIB}\n"
    del full


def test_a_value_outlives_its_owner_while_it_is_read(start_cluster):
    start_cluster(num_cpus=1)

    @ray.remote
    class Owner:
        def put(self):
            return [ray.put(np.ones(5 * MIB, dtype=np.uint8)) for _ in range(2)]

    owner = Owner.remote()
    [read, unread] = ray.get(owner.put.remote())
    value = ray.get(read)
    ray.kill(owner)
    wait_until(lambda: objects_in_memory() == 1, "what nobody reads is freed")
    with pytest.raises(ray.exceptions.OwnerDiedError):
        ray.get(unread, timeout=20)
    assert int(value.sum()) == 5 * MIB
    del value
    gc.collect()
    wait_until(lambda: objects_in_memory() == 0, "the other one too, once it is not read any more")


def test_an_idle_worker_stays_while_others_borrow_what_it_owns(start_cluster):
    start_cluster(num_cpus=1)

    @ray.remote(num_cpus=0)
    class Gate:
        async def passed_by(self, count):
            self.event, self.here = getattr(self, "event", asyncio.Event()), getattr(self, "here", 0) + 1
            if self.here == count:
                self.event.set()
            await self.event.wait()

    @ray.remote(num_cpus=0)
    def put(gate):
        ray.get(gate.passed_by.remote(4))  # so that each runs in a worker of its own
        return os.getpid(), [ray.put(np.ones(MIB, dtype=np.uint8))]

    gate = Gate.remote()
    pids, refs = zip(*ray.get([put.remote(gate) for _ in range(4)]), strict=True)
    kept = refs[0][0]
    del refs
    wait_until(lambda: sum(map(psutil.pid_exists, pids)) <= 2, "those which nobody needs end, but one")
    assert psutil.pid_exists(pids[0])
    assert int(ray.get(kept).sum()) == MIB
