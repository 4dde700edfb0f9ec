"""Refs that only reference cycles hold are found when memory runs short, and when somebody asks."""

import gc
import weakref

import pytest

import ray
from ray._common.test_utils import wait_for_condition
from ray._private.internal_api import global_gc

MIB = 2**20
INIT = {"_system_config": {"global_gc_min_interval_s": 0, "local_gc_min_interval_s": 0}}


class Cycle:
    def __init__(self, size):
        self.self, self.ref = self, ray.put(bytes(size))


@ray.remote(num_cpus=0)
class Holder:
    def hold(self, size):
        gc.disable()
        self.seen = weakref.ref(Cycle(size))

    def holds(self):
        return self.seen() is not None


@pytest.fixture
def no_collector():
    gc.disable()
    yield
    gc.enable()


def test_all_processes_collect_when_asked(cluster, no_collector):
    here, holder = weakref.ref(Cycle(1)), Holder.remote()
    ray.get(holder.hold.remote(1))
    assert here() is not None and ray.get(holder.holds.remote())
    global_gc()
    wait_for_condition(lambda: here() is None and not ray.get(holder.holds.remote()))


def test_a_value_that_does_not_fit_makes_all_processes_collect(cluster, no_collector):
    here, holder = weakref.ref(Cycle(60 * MIB)), Holder.remote()
    ray.get(holder.hold.remote(60 * MIB))
    refs = [ray.put(bytes(50 * MIB)) for _ in range(4)]
    wait_for_condition(lambda: here() is None and not ray.get(holder.holds.remote()), timeout=20)
    assert len(ray.get(refs[0])) == 50 * MIB
