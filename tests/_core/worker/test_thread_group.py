"""The threads of a concurrent actor: how many calls run at once, and what becomes of those that are cancelled."""

import threading

import pytest

from ray._core.worker.invocation import Call
from ray._core.worker.thread_group import ThreadGroup

WAIT_S = 20


def later(delay_s, callback):
    threading.Timer(delay_s, callback).start()


class Group:
    """A ThreadGroup of `limit` whose calls run until they are told to end."""

    def __init__(self, limit):
        self.begun: dict[Call, threading.Event] = {}
        self.may_end: dict[Call, threading.Event] = {}
        self.refused: list[Call] = []
        self.more_waited: list[bool] = []
        self.group = ThreadGroup("", limit, self._run, self.refused.append, later)

    def _run(self, job, more_wait):
        self.more_waited.append(more_wait)
        self.begun[job[0]].set()
        assert self.may_end[job[0]].wait(WAIT_S)

    def submit(self, task_id):
        call = Call(None, task_id, None)
        self.begun[call], self.may_end[call] = threading.Event(), threading.Event()
        self.group.submit((call, None, None))
        return call

    def has_begun(self, call):
        return self.begun[call].wait(WAIT_S)

    def end(self, *calls):
        for call in calls or self.may_end:
            self.may_end[call].set()


@pytest.fixture
def pair():
    group = Group(2)
    yield group
    group.end()
    group.group.finish()


def test_so_many_run_at_once_and_no_more(pair):
    first, second, third = (pair.submit(bytes([number])) for number in range(3))
    assert pair.has_begun(first) and pair.has_begun(second)
    assert not pair.begun[third].is_set()
    pair.end(first)
    assert pair.has_begun(third)


def test_a_thread_is_started_when_a_call_needs_one(pair):
    before = set(threading.enumerate())
    for number in range(5):
        call = pair.submit(bytes([number]))
        assert pair.has_begun(call)
        pair.end(call)
    assert sum(each.name.startswith("ray-") for each in set(threading.enumerate()) - before) <= 2


def test_a_call_that_waits_is_refused_once_and_does_not_run(pair):
    running = [pair.submit(b"a"), pair.submit(b"b")]
    assert all(pair.has_begun(call) for call in running)
    waiting, last = pair.submit(b"c"), pair.submit(b"d")
    assert pair.group.cancel(b"c") and not pair.group.cancel(b"c")
    pair.end(*running)
    assert pair.has_begun(last)
    assert pair.refused == [waiting] and waiting.is_canceled
    assert not pair.begun[waiting].is_set()


def test_a_call_that_runs_is_told(pair):
    call = pair.submit(b"a")
    assert pair.has_begun(call)
    assert pair.group.cancel(b"a")
    assert call.is_canceled and not pair.refused


def test_a_call_that_is_sent_again_runs_though_the_first_one_has_not_ended(pair):
    first = pair.submit(b"a")
    assert pair.has_begun(first)
    again = pair.submit(b"a")
    assert pair.has_begun(again)
    pair.end(first)
    third = pair.submit(b"c")
    assert pair.has_begun(third)
    assert pair.group.cancel(b"a") and again.is_canceled


def test_it_is_told_whether_others_wait():
    group = Group(1)
    calls = [group.submit(bytes([number])) for number in range(3)]
    group.end()
    assert all(group.has_begun(call) for call in calls)
    group.group.finish()
    assert group.more_waited[1:] == [True, False]


def test_finishing_waits_for_what_runs_and_drops_what_waits():
    group = Group(1)
    running, waiting = group.submit(b"a"), group.submit(b"b")
    assert group.has_begun(running)
    finishing = threading.Thread(target=group.group.finish)
    finishing.start()
    finishing.join(0.05)
    assert finishing.is_alive()
    group.end(running)
    finishing.join(WAIT_S)
    assert not finishing.is_alive() and not group.begun[waiting].is_set()


def test_a_burst_of_quick_calls_stays_on_one_thread():
    threads, ended, count = set(), threading.Semaphore(0), 500

    def run(job, more_wait):
        threads.add(threading.get_ident())
        ended.release()

    later_calls = []
    # The clock stands still, so no call ever seems to block.
    group = ThreadGroup("", 16, run, None, lambda delay_s, look: later_calls.append(look), clock=lambda: 1.0)
    for _ in range(count):
        group.submit((Call(None, b"a", None), None, None))
    for _ in range(count):
        assert ended.acquire(timeout=WAIT_S)
        while later_calls:
            later_calls.pop()()
    group.finish()
    assert len(threads) <= 2  # one that was woken may find the other just done


def test_calls_that_block_all_get_a_thread():
    group = Group(16)
    calls = [group.submit(bytes([number])) for number in range(16)]
    assert all(group.has_begun(call) for call in calls)
    group.end()
    group.group.finish()


def test_no_call_is_forgotten():
    """Those that come while threads are about to park."""
    ended = threading.Semaphore(0)
    group = ThreadGroup("", 4, lambda job, more_wait: ended.release(), None, later)
    for _ in range(3000):
        group.submit((Call(None, b"a", None), None, None))
        assert ended.acquire(timeout=WAIT_S)
    group.finish()
