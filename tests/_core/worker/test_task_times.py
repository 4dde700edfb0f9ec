"""Where a task's time goes, told from the moments in its record."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray._core.worker import task_times
from ray._core.worker.task_record import Record
from ray._core.worker.task_times import ARGUMENTS, AT_ACTOR, AT_WORKER, EARLIER, LEASE, RUNNING, spent, told

S = 1_000_000


@dataclasses.dataclass
class Moments:
    created_us: int = 10 * S
    ready_us: int = 0
    sent_us: int = 0
    unresolved: int = 0
    attempt: int = 0


def test_a_task_goes_through_arguments_queue_and_worker():
    record = Moments(ready_us=11 * S, sent_us=13 * S)
    times = spent(record, 20 * S, is_actors=False, is_sent=True, started_us=16 * S)
    assert times == {ARGUMENTS: 1.0, LEASE: 2.0, AT_WORKER: 3.0, RUNNING: 4.0}
    assert list(times) == [ARGUMENTS, LEASE, AT_WORKER, RUNNING]


@pytest.mark.parametrize(
    ("record", "how", "expected"),
    [
        (Moments(unresolved=1), {}, {ARGUMENTS: 10.0}),
        (Moments(), {}, {LEASE: 10.0}),
        (Moments(sent_us=12 * S), {"is_sent": True}, {LEASE: 2.0, AT_WORKER: 8.0}),
        (Moments(sent_us=12 * S), {}, {LEASE: 10.0}),  # the worker handed it back
        (Moments(sent_us=10 * S), {"is_sent": True, "is_actors": True}, {AT_ACTOR: 10.0}),
        (Moments(sent_us=10 * S), {"is_sent": True, "started_us": None}, {"queued or running": 10.0}),
        (Moments(sent_us=15 * S, attempt=1), {"is_sent": True, "started_us": 15 * S}, {EARLIER: 5.0, RUNNING: 5.0}),
        (Moments(sent_us=15 * S, attempt=1), {}, {EARLIER: 10.0}),
    ],
)
def test_what_did_not_happen_takes_no_time(record, how, expected):
    assert spent(record, 20 * S, **{"is_actors": False, "is_sent": False, **how}) == expected


@given(
    st.builds(Moments, st.just(10), *[st.integers(0, 40)] * 2, st.integers(0, 1), st.integers(0, 2)),
    st.integers(10, 40),
    st.booleans(),
    st.one_of(st.none(), st.integers(0, 60)),
)
def test_the_parts_add_up_whatever_the_clocks_say(record, now_us, is_sent, started_us):
    times = spent(record, now_us, is_actors=False, is_sent=is_sent, started_us=started_us)
    assert sum(times.values()) == pytest.approx((now_us - record.created_us) / 1e6)
    assert all(seconds > 0 for seconds in times.values())


def test_people_are_told_what_matters():
    assert told({ARGUMENTS: 0.00001, RUNNING: 1.0}) == f"1.00 s {task_times.RUNNING}"
    assert told({LEASE: 0.254, RUNNING: 1.0}) == "0.25 s queued for a lease, 1.00 s running"


def test_a_story_keeps_the_last_events():
    record = Record(b"t", None, None, 0)
    for number in range(20):
        record.note(f"event {number}")
    assert [text for _, text in record.story] == [f"event {number}" for number in range(12, 20)]
    assert sorted(at_us for at_us, _ in record.story) == [at_us for at_us, _ in record.story]
