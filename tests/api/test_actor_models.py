"""Actors that run several calls at once: asyncio, threads, concurrency groups (docs: "Async and threaded actors")."""

import asyncio
import logging
import threading
import time

import pytest
from helpers import wait_until

import ray
from ray.exceptions import RayActorError, RayTaskError, TaskCancelledError

pytestmark = pytest.mark.usefixtures("shared_ray")
CLUSTER = {"num_cpus": 8}


@ray.remote
class Meeting:
    """Everyone who comes waits until so many are there."""

    def __init__(self):
        self.here = 0
        self.event = asyncio.Event()

    async def come(self, expected):
        self.here += 1
        if self.here >= expected:
            self.event.set()
        await self.event.wait()
        return self.here

    async def count(self):
        return self.here

    async def fail(self):
        await asyncio.sleep(0)
        raise KeyError("async")

    def plain(self):
        return "plain"


@ray.remote
class Hall:
    """As Meeting, with threads."""

    def __init__(self):
        self.here = 0
        self.everybody = threading.Condition()

    def come(self, expected):
        with self.everybody:
            self.here += 1
            self.everybody.notify_all()
            if not self.everybody.wait_for(lambda: self.here >= expected, 30):
                raise TimeoutError(f"{self.here} of {expected}")
        return threading.current_thread().name

    def count(self):
        return self.here

    def fail(self):
        raise KeyError("threaded")


# --- asyncio ---


def test_calls_of_an_async_actor_run_together():
    meeting = Meeting.remote()
    assert ray.get([meeting.come.remote(50) for _ in range(50)]) == [50] * 50


def test_max_concurrency_limits_an_async_actor():
    meeting = Meeting.options(max_concurrency=2).remote()
    refs = [meeting.come.remote(4) for _ in range(4)]
    assert ray.wait(refs, num_returns=4, timeout=0.5) == ([], refs)
    meeting = Meeting.options(max_concurrency=2).remote()
    assert ray.get([meeting.come.remote(2) for _ in range(2)]) == [2, 2]


def test_plain_methods_of_an_async_actor_run_too():
    meeting = Meeting.remote()
    ref = meeting.come.remote(2)
    assert ray.get(meeting.plain.remote()) == "plain"
    ray.get([ref, meeting.come.remote(2)])


def test_errors_of_async_methods_arrive():
    meeting = Meeting.remote()
    with pytest.raises(KeyError) as caught:
        ray.get(meeting.fail.remote())
    assert isinstance(caught.value, RayTaskError)
    assert ray.get(meeting.come.remote(1)) == 1


def test_async_methods_await_refs():
    @ray.remote
    def add(a, b):
        return a + b

    @ray.remote
    class Sums:
        async def both(self):
            one = await add.remote(1, 2)
            others = await asyncio.gather(*[add.remote(one, n) for n in range(3)])
            return one, others

        async def given(self, refs):
            return await refs[0]

        async def fails(self):
            try:
                await add.remote(1, "a")
            except TypeError as error:
                return isinstance(error, RayTaskError)

    sums = Sums.remote()
    assert ray.get(sums.both.remote()) == (3, [3, 4, 5])
    assert ray.get(sums.given.remote([ray.put("put")])) == "put"
    assert ray.get(sums.fails.remote()) is True


def test_async_methods_await_methods_of_other_actors():
    @ray.remote
    class Middle:
        def __init__(self, meeting):
            self.meeting = meeting

        async def come(self):
            return await self.meeting.come.remote(2)

    meeting = Meeting.remote()
    middle = Middle.remote(meeting)
    assert ray.get([middle.come.remote(), middle.come.remote()]) == [2, 2]


def test_async_methods_wait_with_asyncio():
    @ray.remote
    def slow(gate):
        return gate.wait()

    @ray.remote
    class Waiter:
        async def first(self, quick, refs):
            done, pending = await asyncio.wait(
                [asyncio.ensure_future(self.value(ref)) for ref in (quick, *refs)],
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in pending:
                task.cancel()
            return [task.result() for task in done], len(pending)

        async def value(self, ref):
            return await ref if isinstance(ref, ray.ObjectRef) else ref

    assert ray.get(Waiter.remote().first.remote("quick", [])) == (["quick"], 0)


def test_the_event_loop_of_the_actor_is_one():
    @ray.remote
    class Loop:
        def __init__(self):
            self.loop = asyncio.get_event_loop()

        async def same(self):
            return asyncio.get_running_loop() is self.loop, threading.current_thread().name

    loop = Loop.remote()
    first, second = ray.get([loop.same.remote(), loop.same.remote()])
    assert first == second
    assert first[0] is True


def test_background_tasks_of_an_async_actor_go_on():
    @ray.remote
    class Ticker:
        async def start(self):
            self.ticks = 0
            self.task = asyncio.create_task(self.tick())

        async def tick(self):
            while True:
                self.ticks += 1
                await asyncio.sleep(0.001)

        async def read(self):
            return self.ticks

    ticker = Ticker.remote()
    ray.get(ticker.start.remote())
    wait_until(lambda: ray.get(ticker.read.remote()) > 3)


def test_an_async_call_that_runs_is_cancelled():
    @ray.remote
    class Sleeper:
        def __init__(self):
            self.seen = []

        async def sleep(self):
            self.seen.append("began")
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                self.seen.append("cancelled")
                raise

        async def read(self):
            return self.seen

    sleeper = Sleeper.remote()
    ref = sleeper.sleep.remote()
    wait_until(lambda: ray.get(sleeper.read.remote()) == ["began"])
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref)
    assert ray.get(sleeper.read.remote()) == ["began", "cancelled"]


def test_a_blocking_get_in_an_async_actor_is_warned_of_once():
    @ray.remote
    class Blocking:
        def __init__(self):
            self.said = []
            handler = logging.Handler()
            handler.emit = lambda record: self.said.append(record.getMessage())
            logging.getLogger("ray._private.worker").addHandler(handler)

        async def get(self):
            return ray.get([slow.remote(), slow.remote()])

        async def warnings(self):
            return self.said

    @ray.remote
    def slow():
        time.sleep(0.05)
        return 1

    actor = Blocking.remote()
    assert ray.get([actor.get.remote(), actor.get.remote()]) == [[1, 1]] * 2
    [warning] = ray.get(actor.warnings.remote())
    assert warning.startswith("Using blocking ray.get inside async actor. This blocks the event loop.")


def test_an_async_actor_leaves_by_exit_actor():
    @ray.remote
    class Leaver:
        async def leave(self):
            await asyncio.sleep(0)
            ray.actor.exit_actor()

        async def alive(self):
            return True

    leaver = Leaver.remote()
    assert ray.get(leaver.alive.remote())
    with pytest.raises(RayActorError):
        ray.get(leaver.leave.remote())
    with pytest.raises(RayActorError):
        ray.get(leaver.alive.remote())


def test_a_call_whose_arguments_are_not_ready_does_not_hold_others_up(gate):
    @ray.remote
    def slow():
        gate.wait()
        return 1

    meeting = Meeting.remote()
    late = meeting.come.remote(slow.remote())
    assert ray.get(meeting.plain.remote()) == "plain"
    gate.open()
    assert ray.get(late) == 1


def test_driver_code_awaits_methods():
    async def main():
        meeting = Meeting.remote()
        results = await asyncio.gather(*[meeting.come.remote(3) for _ in range(3)])
        with pytest.raises(KeyError):
            await meeting.fail.remote()
        return results

    assert asyncio.run(main()) == [3, 3, 3]


def test_the_runtime_context_is_each_calls_own():
    @ray.remote
    class Ids:
        async def task(self):
            before = ray.get_runtime_context().get_task_id()
            await asyncio.sleep(0.01)
            return before, ray.get_runtime_context().get_task_id()

    ids = Ids.remote()
    refs = [ids.task.remote() for _ in range(5)]
    for ref, (before, after) in zip(refs, ray.get(refs), strict=True):
        assert before == after == ref.task_id().hex()


# --- threads ---


def test_calls_of_a_threaded_actor_run_together():
    hall = Hall.options(max_concurrency=5).remote()
    names = ray.get([hall.come.remote(5) for _ in range(5)])
    assert len(set(names)) == 5


def test_max_concurrency_limits_a_threaded_actor():
    hall = Hall.options(max_concurrency=2).remote()
    refs = [hall.come.remote(3) for _ in range(3)]
    assert ray.wait(refs, num_returns=3, timeout=0.5) == ([], refs)


def test_errors_of_threads_arrive():
    hall = Hall.options(max_concurrency=2).remote()
    with pytest.raises(KeyError):
        ray.get(hall.fail.remote())
    assert ray.get(hall.count.remote()) == 0


def test_threads_use_ray():
    @ray.remote
    def add(a, b):
        return a + b

    @ray.remote(max_concurrency=4)
    class Sums:
        def sum(self, n):
            return ray.get(add.remote(n, ray.get(add.remote(n, 1))))

    sums = Sums.remote()
    assert ray.get([sums.sum.remote(n) for n in range(8)]) == [2 * n + 1 for n in range(8)]


def test_a_thread_that_the_user_starts_uses_ray():
    @ray.remote
    class Own:
        def run(self):
            found = []

            def work():
                ref = ray.put("from a thread")
                found.append(ray.get(ref))

            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            return found

    assert ray.get(Own.remote().run.remote()) == ["from a thread"]


# --- concurrency groups ---


@ray.remote(concurrency_groups={"io": 2, "compute": 4})
class Grouped:
    def __init__(self):
        self.lock = threading.Condition()
        self.here = {"io": 0, "compute": 0, "default": 0}

    def _come(self, group, expected):
        with self.lock:
            self.here[group] += 1
            self.lock.notify_all()
            if not self.lock.wait_for(lambda: self.here[group] >= expected, 20):
                raise TimeoutError(group)
        return threading.current_thread().name

    @ray.method(concurrency_group="io")
    def io(self, expected):
        return self._come("io", expected)

    @ray.method(concurrency_group="compute")
    def compute(self, expected):
        return self._come("compute", expected)

    def default(self, expected):
        return self._come("default", expected)

    def read(self):
        return dict(self.here)


def test_each_group_has_its_own_threads():
    grouped = Grouped.remote()
    io, compute = ([method.remote(n) for _ in range(n)] for method, n in ((grouped.io, 2), (grouped.compute, 4)))
    assert len(set(ray.get(io))) == 2
    assert len(set(ray.get(compute))) == 4
    assert ray.get(grouped.default.remote(1))


def test_a_busy_group_does_not_hold_others_up():
    grouped = Grouped.remote()
    busy = [grouped.io.remote(4) for _ in range(3)]
    assert ray.get(grouped.compute.remote(1))
    assert ray.get(grouped.default.remote(1))
    wait_until(lambda: ray.get(grouped.read.remote())["io"] == 2)
    assert ray.wait(busy, timeout=0)[0] == []


def test_a_call_may_choose_its_group():
    grouped = Grouped.remote()
    refs = [grouped.default.options(concurrency_group="compute").remote(3) for _ in range(3)]
    assert len(set(ray.get(refs))) == 3


def test_groups_of_an_async_actor():
    @ray.remote(concurrency_groups={"io": 2})
    class Groups:
        def __init__(self):
            self.here = {"io": 0, "default": 0}

        @ray.method(concurrency_group="io")
        async def io(self):
            self.here["io"] += 1
            await asyncio.sleep(600)

        async def read(self):
            return dict(self.here)

    groups = Groups.remote()
    _refs = [groups.io.remote() for _ in range(4)]
    wait_until(lambda: ray.get(groups.read.remote())["io"] == 2)
    time.sleep(0.1)  # no third one comes in: nothing could be waited for
    assert ray.get(groups.read.remote())["io"] == 2


# --- limits and order ---


def test_too_many_pending_calls_are_refused(gate):
    @ray.remote(max_pending_calls=3)
    class Slow:
        def work(self):
            gate.wait()

    slow = Slow.remote()
    refs = [slow.work.remote() for _ in range(3)]
    with pytest.raises(ray.exceptions.PendingCallsLimitExceeded):
        for _ in range(5):
            refs.append(slow.work.remote())
    gate.open()
    ray.get(refs)
    ray.get(slow.work.remote())


def test_in_order_and_concurrent_exclude_each_other():
    with pytest.raises(ValueError):
        Meeting.options(allow_out_of_order_execution=False).remote()
    with pytest.raises(ValueError):
        Hall.options(max_concurrency=2, allow_out_of_order_execution=False).remote()


def test_a_sync_actor_may_run_out_of_order(gate):
    @ray.remote
    def slow():
        gate.wait()
        return 1

    hall = Hall.options(allow_out_of_order_execution=True).remote()
    late = hall.come.remote(slow.remote())
    assert ray.get(hall.count.remote()) == 0
    gate.open()
    ray.get(late)
