"""An object whose unpickling waits for another object, by every way that a value can be waited for."""

import asyncio
import threading

import pytest

import ray


@pytest.fixture
def fetching(cluster):
    """Make an object, by a task, which on its way here gets another one that says `value`."""

    class Fetching:
        value = None

        def __init__(self, ref):
            self.ref = ref

        def __setstate__(self, state):
            self.ref = state["ref"]
            self.value = ray.get(self.ref, timeout=30)

    @ray.remote
    def later(value):
        return value

    @ray.remote
    def make(ref):
        return Fetching(ref[0])

    return lambda value: make.remote([later.remote(value)])


def test_a_concurrent_future_is_fulfilled(fetching):
    assert fetching(1).future().result(30).value == 1


def test_a_coroutine_gets_it(fetching):
    async def main():
        return (await asyncio.wait_for(fetching(2), 30)).value

    assert asyncio.run(main()) == 2


def test_a_coroutine_of_an_actor_gets_it(fetching):
    @ray.remote
    class Waits:
        async def value(self, ref):
            return (await ref[0]).value

    actor = Waits.remote()
    assert ray.get([actor.value.remote([fetching(number)]) for number in range(3)], timeout=30) == [0, 1, 2]
    ray.kill(actor)


def test_a_callback_may_wait(fetching):
    done = threading.Event()
    future = fetching(3).future()
    future.add_done_callback(lambda _: ray.get(fetching(4), timeout=30).value == 4 and done.set())
    assert future.result(30).value == 3
    assert fetching(5).future().result(30).value == 5
    assert done.wait(30)


def test_a_cancelled_future_of_asyncio_is_let_alone(fetching):
    async def main():
        ref = fetching(6)
        waiting = ref.as_future()
        waiting.cancel()
        return (await ref).value

    assert asyncio.run(main()) == 6
