"""Calls of one process to one actor: in order, each answered once, resent only when allowed."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from ray._core.worker.actor_calls import CallQueue, Fail, Push


@dataclasses.dataclass
class FakeCall:
    task_id: bytes
    unresolved: int = 0
    retries_left: int = 0
    attempt: int = 0


def call(number: int, **fields: int) -> FakeCall:
    return FakeCall(number.to_bytes(2, "big"), **fields)


def pushed(orders: list) -> list[int]:
    return [int.from_bytes(order.call.task_id, "big") for order in orders if isinstance(order, Push)]


def failed(orders: list) -> list[tuple[int, bool]]:
    return [(int.from_bytes(o.call.task_id, "big"), o.is_dead) for o in orders if isinstance(o, Fail)]


def test_calls_made_before_the_first_start_wait_and_leave_in_order():
    queue = CallQueue(in_order=True)
    for number in range(3):
        assert queue.submit(call(number)) == []
    assert pushed(queue.alive()) == [0, 1, 2]


def test_an_argument_that_is_missing_holds_back_what_comes_after():
    queue = CallQueue(in_order=True)
    queue.alive()
    first = call(0, unresolved=1)
    assert queue.submit(first) == queue.submit(call(1)) == []
    first.unresolved = 0
    assert pushed(queue.ready(first)) == [0, 1]


def test_without_order_only_the_call_itself_waits_for_its_argument():
    queue = CallQueue(in_order=False)
    queue.alive()
    first = call(0, unresolved=1)
    assert queue.submit(first) == []
    assert pushed(queue.submit(call(1))) == [1]
    first.unresolved = 0
    assert pushed(queue.ready(first)) == [0]


def test_a_waiting_call_that_is_given_up_lets_the_others_go():
    queue = CallQueue(in_order=True)
    queue.alive()
    queue.submit(call(0, unresolved=1))
    queue.submit(call(1))
    assert pushed(queue.finished(call(0).task_id)) == [1]


def test_at_a_restart_what_was_sent_fails_or_goes_again_in_order():
    queue = CallQueue(in_order=True)
    queue.alive()
    calls = [call(0, retries_left=0), call(1, retries_left=1), call(2, retries_left=-1)]
    for each in calls:
        queue.submit(each)
    queue.lost()
    assert failed(queue.restarting()) == [(0, False)]
    assert failed(queue.submit(call(3, retries_left=0))) == [(3, False)]
    assert queue.submit(call(4, retries_left=1)) == []
    assert pushed(queue.alive()) == [1, 2, 4]
    assert (calls[1].retries_left, calls[2].retries_left, calls[1].attempt) == (0, -1, 1)


def test_what_was_handed_to_a_connection_that_never_came_to_be_costs_no_retry():
    queue = CallQueue(in_order=True)
    calls = [call(0, retries_left=0), call(1, retries_left=1)]
    queue.alive()
    for each in calls:
        queue.submit(each)
    queue.lost(was_reached=False)
    queue.submit(call(2))
    assert queue.unreachable() == []
    assert pushed(queue.alive()) == [0, 1, 2]
    assert [each.retries_left for each in calls] == [0, 1] and calls[1].attempt == 0


def test_everything_fails_once_the_actor_is_dead():
    queue = CallQueue(in_order=True)
    queue.submit(call(0))
    queue.alive()
    queue.submit(call(1, unresolved=1))
    assert failed(queue.dead()) == [(0, True), (1, True)]
    assert failed(queue.submit(call(2, retries_left=-1))) == [(2, True)]
    assert len(queue) == 0


def test_a_retried_exception_goes_ahead_of_what_waits():
    queue = CallQueue(in_order=True)
    queue.alive()
    first = call(0, retries_left=2)
    queue.submit(first)
    queue.submit(call(1, unresolved=1))
    assert pushed(queue.retry(first)) == [0]
    assert (first.retries_left, first.attempt) == (1, 1)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "submit",
                "resolve",
                "answer",
                "raise",
                "alive",
                "lost",
                "unreached",
                "restarting",
                "unreachable",
                "give_up",
            ]
        ),
        st.integers(0, 50),
    ),
    min_size=30,  # without it, hypothesis draws five on average
    max_size=80,
)


@given(EVENTS, st.booleans())
def test_each_call_ends_exactly_once_and_is_never_under_way_twice(events, in_order):
    queue, calls, ended = CallQueue(in_order), {}, []
    under_way: set[bytes] = set()
    highest = -1

    def carry_out(orders):
        nonlocal highest
        for order in orders:
            key = order.call.task_id
            if isinstance(order, Fail):
                ended.append(key)
                under_way.discard(key)
                continue
            assert not order.call.unresolved, "sent without its arguments"
            assert key not in under_way
            assert key not in ended
            under_way.add(key)
            if in_order and not order.call.attempt:
                assert int.from_bytes(key, "big") > highest, "a first attempt overtook another"
                highest = int.from_bytes(key, "big")

    for name, pick in events:
        if name == "submit":
            new = call(len(calls), unresolved=pick % 2, retries_left=pick % 4 - 1)
            calls[new.task_id] = new
            carry_out(queue.submit(new))
        elif name == "resolve":
            waiting = [each for each in queue.waiting.values() if each.unresolved]
            if waiting:
                chosen = waiting[pick % len(waiting)]
                chosen.unresolved = 0
                carry_out(queue.ready(chosen))
        elif name in ("answer", "raise") and under_way:
            key = sorted(under_way)[pick % len(under_way)]
            under_way.discard(key)
            if name == "raise" and calls[key].retries_left:
                carry_out(queue.retry(calls[key]))
            else:
                ended.append(key)
                carry_out(queue.finished(key))
        elif name == "give_up" and queue.waiting:
            key = sorted(queue.waiting)[pick % len(queue.waiting)]
            ended.append(key)
            carry_out(queue.finished(key))
        elif name == "alive" and not under_way:
            carry_out(queue.alive())
        elif name == "lost":
            queue.lost()
        elif name == "unreached" and queue.state == "ALIVE":
            highest = min((int.from_bytes(key, "big") - 1 for key in under_way), default=highest)
            under_way.clear()
            queue.lost(was_reached=False)
        elif name == "restarting":
            under_way.clear()
            carry_out(queue.restarting())
        elif name == "unreachable" and queue.state == "LOST":
            under_way.clear()
            carry_out(queue.unreachable())
    under_way.clear()
    carry_out(queue.dead())
    assert sorted(ended) == sorted(calls)
