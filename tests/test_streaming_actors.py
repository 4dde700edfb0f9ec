"""Generator methods of actors of every kind, on real processes."""

import asyncio
import os
import sys
import time

import numpy as np
import pytest
from polling import wait_until

import ray
from ray._core.worker import object_ref
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests
pytestmark = pytest.mark.usefixtures("cluster")


@ray.remote(num_cpus=0)
class Plain:
    def numbers(self, count, gate=None):
        for number in range(count):
            yield number
            if gate is not None and number == count // 2:
                wait_until(gate.exists)

    def large(self, count):
        for number in range(count):
            yield np.full(100_000, number)

    def pid(self):
        return os.getpid()


@ray.remote(num_cpus=0)
class Async:
    async def numbers(self, count, gate=None):
        for number in range(count):
            yield number
            while gate is not None and number == count // 2 and not gate.exists():
                await asyncio.sleep(0.01)

    async def large(self, count):
        for number in range(count):
            yield np.full(100_000, number)

    async def pid(self):
        return os.getpid()

    async def total(self, count):
        """Consumes a stream in its loop."""
        return sum([await ref async for ref in Async.remote().numbers.remote(count)])

    def plain(self, count):
        yield from range(count)


KINDS = [
    pytest.param(Plain, {}, id="plain"),
    pytest.param(Plain, {"max_concurrency": 3}, id="threads"),
    pytest.param(Async, {}, id="asyncio"),
]


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_methods_stream_small_and_large_items(kind, options):
    actor = kind.options(**options).remote()
    assert [ray.get(ref) for ref in actor.numbers.remote(50)] == list(range(50))
    assert [int(ray.get(ref)[-1]) for ref in actor.large.remote(5)] == list(range(5))


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_backpressure_holds_methods_back_and_nothing_else(kind, options, tmp_path):
    actor = kind.options(**options).remote()
    stream = actor.numbers.options(_generator_backpressure_num_objects=2).remote(10)
    wait_until(lambda: stream._stream.positions.arrived == 2)
    if kind is Async or options:
        assert ray.get(actor.pid.remote(), timeout=20)
    assert stream._stream.positions.arrived == 2
    assert [ray.get(ref) for ref in stream] == list(range(10))
    assert ray.get(actor.pid.remote(), timeout=20)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_dropped_generator_lets_its_method_end(kind, options):
    actor = kind.options(**options).remote()
    stream = actor.numbers.options(_generator_backpressure_num_objects=1).remote(1000)
    next(stream)
    del stream
    assert ray.get(actor.pid.remote(), timeout=20)


@pytest.mark.parametrize("kind", [Plain, Async])
def test_streams_of_several_callers_run_at_once(kind, tmp_path):
    options = {"max_concurrency": 4} if kind is Plain else {}
    actor = kind.options(**options).remote()
    streams = [actor.numbers.remote(4, tmp_path / "gate") for _ in range(3)]
    for stream in streams:
        assert [ray.get(next(stream)) for _ in range(3)] == [0, 1, 2]
    (tmp_path / "gate").touch()
    assert [[ray.get(ref) for ref in stream] for stream in streams] == [[3]] * 3


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_restarted_actor_goes_on_where_the_stream_was(kind, options, tmp_path):
    actor = kind.options(max_restarts=1, max_task_retries=1, **options).remote()
    stream = actor.numbers.remote(10, tmp_path / "gate")
    taken = [next(stream) for _ in range(4)]
    wait_until(lambda: stream._stream.positions.arrived == 6)
    pid = ray.get(actor.pid.remote()) if kind is Async or options else pid_of(actor)
    os.kill(pid, 9)
    (tmp_path / "gate").touch()
    assert [ray.get(ref) for ref in [*taken, *stream]] == list(range(10))


def pid_of(actor):
    return object_ref._core.actors._clients[actor._ray_state.actor_id].info.pid


def test_the_death_of_the_actor_is_the_last_item(tmp_path):
    actor = Plain.remote()
    stream = actor.numbers.remote(10, tmp_path / "gate")
    good = [next(stream) for _ in range(6)]
    ray.kill(actor)
    (error,) = list(stream)
    assert ray.get(good) == list(range(6))
    with pytest.raises((ActorDiedError, ActorUnavailableError)):
        ray.get(error)
    with pytest.raises(RayActorError):
        ray.get(stream.completed())


def test_a_coroutine_consumes_a_stream_of_another_actor():
    assert ray.get(Async.remote().total.remote(100), timeout=30) == sum(range(100))


def test_a_plain_generator_of_an_asyncio_actor_streams():
    assert [ray.get(ref) for ref in Async.remote().plain.remote(5)] == list(range(5))


def test_methods_with_fixed_and_dynamic_returns():
    actor = Plain.remote()
    assert ray.get(actor.numbers.options(num_returns=3).remote(3)) == [0, 1, 2]
    assert [ray.get(ref) for ref in ray.get(actor.numbers.options(num_returns="dynamic").remote(3))] == [0, 1, 2]
    actor = Async.remote()
    assert ray.get(actor.numbers.options(num_returns=3).remote(3)) == [0, 1, 2]
    assert [ray.get(ref) for ref in ray.get(actor.numbers.options(num_returns="dynamic").remote(3))] == [0, 1, 2]


def test_wait_mixes_refs_and_generators(tmp_path):
    actor = Plain.options(max_concurrency=2).remote()
    slow = actor.numbers.remote(4, tmp_path / "gate")
    for _ in range(3):
        next(slow)
    ref = actor.pid.remote()
    ready, rest = ray.wait([slow, ref], num_returns=2, timeout=0.5)
    assert ready == [ref] and rest == [slow]
    (tmp_path / "gate").touch()
    ready, rest = ray.wait([slow, ref], num_returns=2, timeout=20)
    assert ready == [slow, ref] and rest == []
    list(slow)
    assert ray.wait([slow], timeout=0)[0] == [slow], "at its end it is ready"


@pytest.mark.parametrize("kind", [Plain, Async])
def test_an_actor_may_limit_all_its_streams_together(kind, tmp_path):
    """Also items of streams that have ended count, until they are taken or dropped."""
    options = {"max_concurrency": 4} if kind is Plain else {}
    actor = kind.options(_actor_generator_backpressure_num_objects=3, **options).remote()

    def arrived(stream, count):
        wait_until(lambda: stream._stream.positions.arrived == count)
        time.sleep(0.05)
        return stream._stream.positions.arrived == count

    first = actor.numbers.remote(2)
    ray.get(first.completed())
    second = actor.numbers.remote(5)
    assert arrived(second, 1), "three are ahead"
    next(second)
    assert arrived(second, 2)
    next(first)
    assert arrived(second, 3)
    del first
    assert arrived(second, 4)
    assert [ray.get(ref) for ref in second] == [1, 2, 3, 4]
