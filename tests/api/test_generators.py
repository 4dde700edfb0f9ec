"""Generators: results that stream (docs: "Ray generators")."""

import asyncio
import os
import pickle

import pytest
from helpers import wait_until

import ray
from ray.exceptions import RayTaskError, TaskCancelledError, WorkerCrashedError

pytestmark = pytest.mark.usefixtures("shared_ray")
# Loops, not `yield from range(n)`: the reference (2.60) drives generators with send(), which a range iterator lacks.
# ruff: noqa: UP028


@ray.remote
def count(n):
    for number in range(n):
        yield number


@ray.remote
def count_then_fail(n):
    for number in range(n):
        yield number
    raise ValueError("after the last")


def test_a_generator_task_gives_a_generator_of_refs():
    stream = count.remote(3)
    assert isinstance(stream, ray.ObjectRefGenerator)
    refs = list(stream)
    assert all(isinstance(ref, ray.ObjectRef) for ref in refs)
    assert ray.get(refs) == [0, 1, 2]


def test_next_ends_with_stop_iteration():
    stream = count.remote(1)
    assert ray.get(next(stream)) == 0
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(stream)


def test_an_empty_generator_ends_at_once():
    assert list(count.remote(0)) == []


def test_items_come_before_the_task_ends(gate):
    @ray.remote
    def slow():
        yield "early"
        gate.wait()
        yield "late"

    stream = slow.remote()
    assert ray.get(next(stream)) == "early"
    gate.open()
    assert ray.get(next(stream)) == "late"


def test_the_task_runs_ahead_of_its_reader(tally):
    @ray.remote
    def eager():
        for number in range(5):
            tally.add()
            yield number

    stream = eager.remote()
    wait_until(lambda: tally.count() == 5)
    assert [ray.get(ref) for ref in stream] == [0, 1, 2, 3, 4]


def test_a_limit_holds_the_task_back(tally):
    @ray.remote(_generator_backpressure_num_objects=2)
    def held():
        for number in range(10):
            tally.add()
            yield number

    stream = held.remote()
    wait_until(lambda: tally.count() >= 2)
    assert tally.count() <= 4
    assert [ray.get(ref) for ref in stream] == list(range(10))


def test_an_error_is_the_last_item():
    stream = count_then_fail.remote(2)
    assert ray.get([next(stream), next(stream)]) == [0, 1]
    last = next(stream)
    with pytest.raises(ValueError, match="after the last") as caught:
        ray.get(last)
    assert isinstance(caught.value, RayTaskError)
    with pytest.raises(StopIteration):
        next(stream)


def test_a_crash_is_an_error_of_the_stream():
    @ray.remote(max_retries=0)
    def crash():
        yield 1
        os._exit(1)

    with pytest.raises(WorkerCrashedError):
        for ref in crash.remote():
            ray.get(ref)


def test_a_failed_argument_is_an_error_of_the_stream():
    @ray.remote
    def fail():
        raise KeyError("argument")

    with pytest.raises(KeyError):
        for ref in count.remote(fail.remote()):
            ray.get(ref)


def test_large_items_stream():
    @ray.remote
    def large():
        for number in range(4):
            yield bytes([number]) * 1_000_000

    assert [ray.get(ref)[:1] for ref in large.remote()] == [b"\0", b"\1", b"\2", b"\3"]


def test_a_thousand_items_keep_their_order():
    assert [ray.get(ref) for ref in count.remote(1000)] == list(range(1000))


def test_generators_are_read_with_async_for():
    async def main():
        return [await ref async for ref in count.remote(3)]

    assert asyncio.run(main()) == [0, 1, 2]


def test_generators_are_read_inside_tasks():
    @ray.remote
    def total(n):
        return sum(ray.get(ref) for ref in count.remote(n))

    assert ray.get(total.remote(5)) == 10


def test_generator_methods_stream():
    @ray.remote
    class Source:
        def numbers(self, n):
            for number in range(n):
                yield number

    source = Source.remote()
    assert [ray.get(ref) for ref in source.numbers.remote(3)] == [0, 1, 2]


def test_async_generator_methods_stream():
    @ray.remote
    class Source:
        async def numbers(self, n):
            for number in range(n):
                await asyncio.sleep(0)
                yield number

    source = Source.remote()
    assert [ray.get(ref) for ref in source.numbers.remote(3)] == [0, 1, 2]


def test_a_method_may_fail_in_mid_stream():
    @ray.remote
    class Source:
        def numbers(self):
            yield 1
            raise ValueError("mid stream")

    source = Source.remote()
    stream = source.numbers.remote()
    assert ray.get(next(stream)) == 1
    with pytest.raises(ValueError):
        ray.get(next(stream))


def test_wait_takes_generators(gate):
    @ray.remote
    def slow():
        gate.wait()
        yield 1

    waiting, ready = slow.remote(), count.remote(1)
    assert ray.wait([waiting, ready], timeout=20) == ([ready], [waiting])
    gate.open()
    assert ray.wait([waiting], timeout=20)[0] == [waiting]


def test_get_gives_a_generator_back_as_it_is():
    stream = count.remote(1)
    assert ray.get(stream) is stream


def test_completed_and_finished_tell_the_end():
    stream = count.remote(2)
    ray.get(stream.completed())
    assert not stream.is_finished()
    list(stream)
    assert stream.is_finished()


def test_a_reader_can_ask_whether_an_item_is_ready(gate):
    @ray.remote
    def slow():
        gate.wait()
        yield 1

    stream = slow.remote()
    assert not stream.next_ready()
    gate.open()
    wait_until(stream.next_ready)


def test_a_stream_of_refs_takes_no_values():
    stream = count.remote(1)
    for call in (lambda: stream.send(1), lambda: stream.throw(ValueError()), lambda: stream.close()):
        with pytest.raises(NotImplementedError):
            call()


def test_a_stream_cannot_be_passed_on():
    stream = count.remote(1)
    with pytest.raises(TypeError):
        pickle.dumps(stream)
    with pytest.raises(TypeError):
        ray.get(count.remote(stream))


def test_a_cancelled_stream_ends_with_the_error(gate):
    @ray.remote
    def endless():
        yield 0
        gate.wait()

    stream = endless.remote()
    assert ray.get(next(stream)) == 0
    ray.cancel(stream)
    with pytest.raises(TaskCancelledError):
        for ref in stream:
            ray.get(ref)


def test_dropping_a_stream_does_no_harm(tally):
    @ray.remote
    def large():
        for _ in range(10):
            yield b"x" * 1_000_000
        tally.add()

    stream = large.remote()
    next(stream)
    del stream
    wait_until(lambda: tally.count() == 1)


def test_a_fixed_number_of_returns_reads_the_generator():
    first, second = count.options(num_returns=2).remote(2)
    assert ray.get([first, second]) == [0, 1]


def test_a_generator_with_too_few_items_fails_the_returns_that_are_left():
    first, second, third = count.options(num_returns=3).remote(2)
    assert ray.get([first, second]) == [0, 1]
    with pytest.raises(ValueError):
        ray.get(third)


def test_a_generator_with_too_many_items_gives_the_first():
    assert ray.get(count.options(num_returns=2).remote(4)) == [0, 1]


def test_dynamic_returns_are_one_ref_to_all():
    @ray.remote(num_returns="dynamic")
    def split(n):
        for number in range(n):
            yield number

    ref = split.remote(3)
    assert isinstance(ref, ray.ObjectRef)
    inner = ray.get(ref)
    assert isinstance(inner, ray.DynamicObjectRefGenerator)
    assert len(inner) == 3
    assert [ray.get(item) for item in inner] == [0, 1, 2]


def test_dynamic_returns_can_be_passed_on():
    @ray.remote
    def total(refs):
        return sum(ray.get(ref) for ref in refs)

    ref = count.options(num_returns="dynamic").remote(4)
    assert ray.get(total.remote(ref)) == 6
    assert ray.get(total.remote(ray.get(ref))) == 6


def test_a_stream_is_retried_after_a_crash(tally):
    @ray.remote(max_retries=1)
    def crash_once():
        yield 0
        if tally.add() == 1:
            os._exit(1)
        yield 1

    assert [ray.get(ref) for ref in crash_once.remote()] == [0, 1]
