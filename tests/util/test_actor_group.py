"""`ActorGroup`, deprecated."""

import warnings

import pytest

import ray
from ray.util.actor_group import ActorGroup
from ray.util.annotations import RayDeprecationWarning


class Counter:
    def __init__(self, start=0, *, step=1):
        self.count = start
        self.step = step

    def add(self, times=1):
        self.count += times * self.step
        return self.count


def group(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RayDeprecationWarning)
        return ActorGroup(Counter, *args, **kwargs)


def test_a_call_reaches_each_actor(cluster):
    with pytest.warns(RayDeprecationWarning):
        counters = ActorGroup(Counter, num_actors=2, num_cpus_per_actor=0, init_args=(5,), init_kwargs={"step": 2})
    assert ray.get(counters.add.remote()) == [7, 7]
    assert ray.get(counters.add.remote(times=2)) == [11, 11]
    assert ray.get(counters[0].actor.add.remote()) == 13
    assert ray.get(counters.add.remote()) == [15, 13]
    assert len(counters) == 2
    with pytest.raises(TypeError, match=r"add\.remote"):
        counters.add()
    counters.shutdown()


def test_actors_are_added_and_removed(cluster):
    counters = group(num_actors=2, num_cpus_per_actor=0)
    counters.add_actors(1)
    assert len(counters) == 3
    counters.remove_actors([0, 2])
    assert len(counters) == 1
    assert counters.actor_metadata == [None]
    with pytest.raises(RuntimeError, match="already been started"):
        counters.start()
    counters.shutdown()
    assert len(counters) == 0
    with pytest.raises(RuntimeError, match="shutdown"):
        counters.add.remote()
    counters.start()
    assert ray.get(counters.add.remote()) == [1, 1]
    counters.shutdown(patience_s=0)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="num_actors"):
        group(num_actors=0)
    with pytest.raises(ValueError, match="num_cpus_per_actor=-1"):
        group(num_cpus_per_actor=-1)
