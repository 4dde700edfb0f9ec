"""After work of every kind `ray memory` shows nothing: no reference in any process, no object in shared memory."""

import gc

import numpy as np
import pytest
from helpers import wait_until

import ray
from ray._private.internal_api import memory_summary

pytestmark = pytest.mark.usefixtures("cluster")
SIZE = 300_000


@ray.remote
def make(number):
    return np.full(SIZE, number, dtype=np.uint8)


@ray.remote
def total(*arrays):
    return sum(int(array[0]) for array in arrays)


@ray.remote
def nested(number):
    """Refs of this worker's own inside a result, and one that it has borrowed inside a container."""
    return [make.remote(number), ray.put(np.full(SIZE, number, dtype=np.uint8))]


@ray.remote
def items(count):
    for number in range(count):
        yield np.full(SIZE, number, dtype=np.uint8)


@ray.remote
def failing(array):
    raise ValueError("on purpose")


@ray.remote(num_cpus=0)
class Keeper:
    def keep(self, box):
        self.box = box
        return [ray.put(np.zeros(SIZE, dtype=np.uint8)), *box]


def work():
    first = make.remote(1)
    assert ray.get(total.remote(first, make.remote(2), ray.put(np.full(SIZE, 3, dtype=np.uint8)))) == 6
    assert [int(array[0]) for array in ray.get(ray.get(nested.remote(4)))] == [4, 4]
    stream = items.remote(5)
    assert int(ray.get(next(stream))[0]) == 0
    del stream  # four items are not taken
    with pytest.raises(ValueError, match="on purpose"):
        ray.get(failing.remote(first))
    keeper = Keeper.remote()
    assert len(ray.get(ray.get(keeper.keep.remote([first, make.remote(5)])))) == 3
    ray.cancel(make.remote(6))


def test_ray_memory_shows_nothing_after_work():
    work()
    gc.collect()

    def is_empty():
        text = memory_summary()
        return "Plasma memory usage 0 MiB, 0 objects" in text and "Object references for" not in text

    wait_until(is_empty)
