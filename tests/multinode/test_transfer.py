"""Large objects between nodes by bulk connections: to many at once, and past nodes that die in the middle."""

import os
import signal

import numpy as np
import pytest

import ray

from .conftest import MIB, fail, wait_until
from .test_objects import make, pages_in_use

SMALL_PARTS = {"fetch_chunk_size": 16 * 1024}
"""So that a transfer is many steps, and can be met in its middle."""


@ray.remote(num_cpus=0)
class Reader:
    def read(self, refs):
        array = ray.get(refs[0])
        return int(array.sum()), int(array[:: MIB // 2].astype(np.int64) @ np.arange(len(array[:: MIB // 2])))


def test_an_object_is_broadcast_whole(start_cluster):
    nodes = start_cluster(num_cpus=0, _system_config=SMALL_PARTS)
    names = [f"n{number}" for number in range(4)]
    for name in names:
        nodes.add(num_cpus=1, resources={name: 1})
    array = np.random.default_rng(3).integers(0, 255, 24 * MIB, dtype=np.uint8)
    ref = ray.put(array)
    readers = [Reader.options(resources={name: 1}).remote() for name in names]
    expected = int(array.sum()), int(array[:: MIB // 2].astype(np.int64) @ np.arange(len(array[:: MIB // 2])))
    assert ray.get([reader.read.remote([ref]) for reader in readers], timeout=60) == [expected] * 4


def test_what_another_node_has_on_disk_comes_from_there(start_cluster):
    cluster = start_cluster(num_cpus=1)
    cluster.add(resources={"x": 1}, object_store_memory=80 * MIB)

    @ray.remote(resources={"x": 1})
    class Owner:
        def put(self, count):
            self.refs = [ray.put(np.full(30 * MIB, number, np.uint8)) for number in range(count)]
            return self.refs

    owner = Owner.remote()
    refs = ray.get(owner.put.remote(4))  # of which two are in memory at most
    for number, ref in enumerate(refs):
        array = ray.get(ref)
        assert array[0] == array[-1] == number and array.nbytes == 30 * MIB
        del array, ref


def test_the_rest_comes_from_another_node_when_one_dies_in_the_middle(start_cluster):
    nodes = start_cluster(num_cpus=0, _system_config=SMALL_PARTS | {"health_check_period_ms": 200})
    first = nodes.add(num_cpus=1, resources={"x": 1})
    nodes.add(num_cpus=1, resources={"y": 1})
    ref = make.options(resources={"x": 1}, max_retries=0).remote(60)
    assert ray.get(Reader.options(resources={"y": 1}).remote().read.remote([ref]), timeout=60)
    assert pages_in_use(nodes.cluster.head_node) < MIB
    coming = ref.future()
    wait_until(lambda: pages_in_use(nodes.cluster.head_node) > MIB, "the transfer begins")
    os.kill(first.all_processes["raylet"][0].process.pid, signal.SIGSTOP)
    assert pages_in_use(nodes.cluster.head_node) < 60 * MIB, "it was over before it could be disturbed"
    fail(first)
    array = coming.result(timeout=60)
    assert (array == np.random.default_rng(0).integers(0, 255, 60 * MIB, dtype=np.uint8)).all()


def test_readers_are_told_when_the_only_source_dies_in_the_middle(start_cluster):
    nodes = start_cluster(num_cpus=0, _system_config=SMALL_PARTS)
    source = nodes.add(num_cpus=1, resources={"x": 1})
    nodes.add(num_cpus=1, resources={"y": 1})

    @ray.remote(num_cpus=0, resources={"x": 1})
    class Owner:
        def put(self):
            return [ray.put(np.ones(60 * MIB, dtype=np.uint8))]

    owner = Owner.remote()  # held: with its last handle it would end, and what it owns with it
    refs = ray.get(owner.put.remote())
    reading = Reader.options(resources={"y": 1}).remote().read.remote(refs)
    coming = refs[0].future()
    wait_until(lambda: pages_in_use(nodes.cluster.head_node) > MIB, "the transfer begins")
    fail(source)
    with pytest.raises(ray.exceptions.ObjectLostError):
        coming.result(timeout=60)
    with pytest.raises(ray.exceptions.RayTaskError, match=r"Owner|lost"):
        ray.get(reading, timeout=60)
