"""Admission of pulls: the most urgent first, never more than memory is free for, and always one under way."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.raylet.pull_queue import PullQueue

GET, WAIT, TASK = range(3)


def test_get_comes_before_wait_and_both_before_arguments():
    queue = PullQueue()
    for name, priority in (b"task", TASK), (b"wait", WAIT), (b"get", GET), (b"later get", GET):
        queue.add(name, 10, priority)
    assert [queue.start(100) for _ in range(5)] == [b"get", b"later get", b"wait", b"task", None]


def test_what_becomes_more_urgent_goes_ahead_of_later_ones():
    queue = PullQueue()
    for name in b"1", b"2", b"3":
        queue.add(name, 10, TASK)
    queue.urge(b"3", GET)
    queue.urge(b"3", WAIT)  # less urgent than it is already
    assert [queue.start(100) for _ in range(4)] == [b"3", b"1", b"2", None]


def test_nothing_overtakes_a_large_object_that_waits_for_memory():
    queue = PullQueue()
    for name, size in (b"first", 60), (b"large", 50), (b"small", 1):
        queue.add(name, size, GET)
    assert [queue.start(100), queue.start(100)] == [b"first", None]
    queue.took_room(b"first")
    assert queue.start(40) is None
    assert queue.start(50) == b"large"
    queue.ended(b"first")


def test_one_is_under_way_even_without_free_memory():
    queue = PullQueue()
    queue.add(b"1", 100, GET)
    queue.add(b"2", 100, GET)
    assert [queue.start(0), queue.start(0)] == [b"1", None]
    queue.ended(b"1")
    assert queue.start(0) == b"2"


STEP = st.tuples(st.sampled_from(["add", "urge", "start", "room", "end"]), st.integers(0, 20), st.integers(0, 2))


@given(st.lists(STEP, min_size=15), st.integers(1, 4))
def test_against_a_naive_model(steps, most_active):
    queue = PullQueue(most_active)
    waiting, active, free, names = {}, {}, 40, iter(range(len(steps)))
    for action, pick, priority in steps:
        if action == "add":
            name = str(next(names)).encode()
            waiting[name] = [priority, int(name), pick]
            queue.add(name, pick, priority)
        elif action == "urge" and waiting:
            name = list(waiting)[pick % len(waiting)]
            waiting[name][0] = min(waiting[name][0], priority)
            queue.urge(name, priority)
        elif action == "start":
            name = queue.start(free)
            if name is None:
                first = min(waiting.values(), default=None)
                promised = sum(active.values())
                assert first is None or len(active) >= most_active or (active and first[2] > free - promised)
            else:
                assert waiting[name] == min(waiting.values())
                active[name] = waiting.pop(name)[2]
                assert len(active) <= most_active
                assert len(active) == 1 or sum(active.values()) <= free
        elif action == "room" and active:
            name = list(active)[pick % len(active)]
            free -= active[name]
            active[name] = 0
            queue.took_room(name)
        elif action == "end" and active:
            name = list(active)[pick % len(active)]
            del active[name]
            queue.ended(name)
            free = 40
        assert queue.promised == sum(active.values())
