"""`ray.util.queue.Queue`. Source: Ray docs, "Utility Classes", Message passing using Ray Queue."""

import asyncio
import queue

import pytest

import ray
from ray.util.queue import Empty, Full, Queue


@pytest.fixture
def two(cluster):
    """A queue with room for two."""
    it = Queue(maxsize=2)
    yield it
    it.shutdown(force=True)


def test_items_come_out_in_the_order_in_which_they_went_in(two):
    two.put(1)
    two.put_nowait(2)
    assert (two.size(), two.qsize(), len(two), two.empty(), two.full()) == (2, 2, 2, False, True)
    assert (two.get(), two.get_nowait()) == (1, 2)
    assert (two.size(), two.empty(), two.full()) == (0, True, False)


def test_a_full_queue_refuses_and_an_empty_one_too(two):
    for call in (two.get_nowait, lambda: two.get(block=False), lambda: two.get(timeout=0.01)):
        with pytest.raises(Empty):
            call()
    two.put_nowait_batch([1, 2])
    for call in (lambda: two.put_nowait(3), lambda: two.put(3, block=False), lambda: two.put(3, timeout=0.01)):
        with pytest.raises(Full):
            call()
    assert issubclass(Empty, queue.Empty) and issubclass(Full, queue.Full)


def test_timeouts_are_not_negative(two):
    for call in (lambda: two.get(timeout=-1), lambda: two.put(1, timeout=-1)):
        with pytest.raises(ValueError, match="non-negative"):
            call()


def test_batches_are_all_or_nothing(two):
    with pytest.raises(Full, match="Cannot add 3 items"):
        two.put_nowait_batch([1, 2, 3])
    assert two.empty()
    two.put_nowait_batch([1, 2])
    with pytest.raises(Empty, match="Cannot get 3 items"):
        two.get_nowait_batch(3)
    assert two.get_nowait_batch(0) == []
    assert two.get_nowait_batch(2) == [1, 2]
    with pytest.raises(TypeError):
        two.get_nowait_batch("2")
    with pytest.raises(ValueError):
        two.get_nowait_batch(-1)
    with pytest.raises(TypeError):
        two.put_nowait_batch(5)


def test_get_waits_for_put_in_another_process(two):
    @ray.remote
    def taking(shared):
        return shared.get()

    waiting = taking.remote(two)
    two.put("sent")
    assert ray.get(waiting) == "sent"


def test_put_waits_for_room(two):
    @ray.remote
    def putting(shared, items):
        for item in items:
            shared.put(item)
        return "done"

    running = putting.remote(two, range(20))
    assert [two.get() for _ in range(20)] == list(range(20))
    assert ray.get(running) == "done"


def test_asynchronous_use(two):
    async def use():
        taking = asyncio.ensure_future(two.get_async())
        await asyncio.sleep(0)
        await two.put_async("first")
        assert await taking == "first"
        with pytest.raises(Empty):
            await two.get_async(block=False)
        with pytest.raises(Empty):
            await two.get_async(timeout=0.01)
        with pytest.raises(ValueError):
            await two.get_async(timeout=-1)
        await two.put_async(1)
        await two.put_async(2)
        with pytest.raises(Full):
            await two.put_async(3, block=False)
        with pytest.raises(Full):
            await two.put_async(3, timeout=0.01)
        with pytest.raises(ValueError):
            await two.put_async(3, timeout=-1)
        return [await two.get_async(), await two.get_async()]

    assert asyncio.run(use()) == [1, 2]


def test_asynchronous_use_in_an_actor(two):
    @ray.remote(num_cpus=0)
    class Echo:
        async def echo(self, shared, item):
            await shared.put_async(item)
            return await shared.get_async()

    assert ray.get(Echo.remote().echo.remote(two, 7)) == 7


def test_without_limit(cluster):
    for limit in (0, -1):
        shared = Queue(maxsize=limit)
        shared.put_nowait_batch(range(100))
        assert not shared.full()
        assert len(shared) == 100
        shared.shutdown(force=True)


def test_options_of_the_actor(cluster):
    shared = Queue(actor_options={"name": "the queue", "num_cpus": 0})
    assert ray.get_actor("the queue") == shared.actor
    shared.shutdown()


def test_shutdown_ends_the_actor(cluster):
    for force in (False, True):
        shared = Queue()
        shared.put(1)
        actor = shared.actor
        shared.shutdown(force=force)
        assert shared.actor is None
        with pytest.raises(ray.exceptions.RayActorError):
            ray.get(actor.qsize.remote())
        shared.shutdown()


def test_refs_pass_as_values_inside_and_resolved_at_the_top(cluster):
    shared = Queue()
    shared.put(ray.put(5))
    shared.put([ray.put(6)])
    assert shared.get() == 5
    assert ray.get(shared.get()[0]) == 6
    shared.shutdown()
