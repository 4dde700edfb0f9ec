"""Events of tasks, put together to rows."""

import itertools

import pytest

from ray._core.common.task_events import STATES, TaskBatch, TaskEvent, TaskKind, decode, merge, rows
from ray._core.gcs.task_table import TaskTable
from ray._private.timeline import trace_events

JOB = b"\1\0\0\0"
OWNER_KIND = TaskKind("f", "mod.f", resources={"CPU": 10000})
WORKER_KIND = TaskKind("f", "mod.f")


def _event(state, attempt=0, task_id=b"t", **fields):
    return TaskEvent(task_id, attempt, 0, state, **fields)


def _batch(*events, kind=OWNER_KIND):
    return TaskBatch(JOB, [kind], list(events))


def test_what_owner_and_worker_tell_is_put_together_whoever_comes_first():
    owner = _batch(_event("SUBMITTED_TO_WORKER", created_us=1, parent=b"p"))
    worker = _batch(_event("RUNNING", started_us=5, worker_id=b"w", pid=7), kind=WORKER_KIND)
    for order in itertools.permutations([owner, worker]):
        (row,) = rows(order)
        assert row.kind == OWNER_KIND
        assert (row.event.state, row.event.created_us, row.event.started_us) == ("RUNNING", 1, 5)
        assert (row.event.parent, row.event.worker_id, row.event.pid) == (b"p", b"w", 7)


@pytest.mark.parametrize(("earlier", "later"), list(itertools.pairwise(STATES[1:-1])))
def test_the_later_state_is_the_newer_news(earlier, later):
    one, other = _event(earlier, created_us=1), _event(later)
    assert merge(one, other).state == merge(other, one).state == later
    assert merge(other, one).created_us == 1


def test_each_attempt_is_a_row_and_repeated_news_makes_no_second():
    ended = _batch(_event("FAILED", 0, created_us=1), _event("FINISHED", 1, created_us=1))
    assert [(row.event.attempt, row.event.state) for row in rows([ended, ended])] == [(0, "FAILED"), (1, "FINISHED")]


def test_rows_come_oldest_first():
    told = [_batch(_event("FINISHED", task_id=bytes([n]), created_us=us)) for n, us in enumerate([3, 1, 2])]
    assert [row.event.task_id for row in rows(told)] == [b"\1", b"\2", b"\0"]


def test_a_batch_comes_back_equal_from_the_wire():
    batch = _batch(_event("FAILED", error_type="X", error="why"))
    assert decode(batch.encode()) == batch


def test_the_table_keeps_the_newest_and_counts_what_it_forgot():
    table = TaskTable(limit=5)
    for number in range(4):
        table.add(JOB if number % 2 else b"\2\0\0\0", 2, bytes([number]))
    assert table.batches() == [b"\2", b"\3"]
    assert table.batches(JOB) == [b"\3"]
    assert (table.count, table.forgotten) == (4, 4)


def test_the_table_is_bounded_in_bytes_too():
    table = TaskTable(limit=100, most_bytes=10)
    for number in range(4):
        table.add(JOB, 1, bytes([number]) * 4)
    assert table.batches() == [b"\2" * 4, b"\3" * 4] and table.forgotten == 2


def test_a_batch_larger_than_the_table_is_still_kept():
    table = TaskTable(limit=5)
    table.add(JOB, 100, b"a")
    assert table.batches() == [b"a"]


def test_the_timeline_shows_tasks_that_ran_to_their_end():
    ran = _event("FINISHED", created_us=1, started_us=10, ended_us=25, node_id=b"n", worker_id=b"w")
    pending = _event("RUNNING", task_id=b"u", started_us=3)
    method = TaskBatch(
        JOB, [TaskKind("A.m", "A.m", "ACTOR_TASK")], [_event("FINISHED", task_id=b"v", started_us=1, ended_us=2)]
    )
    first, second = trace_events(rows([_batch(ran, pending), method]), {b"n": "10.0.0.1"})
    assert (first["name"], first["cat"], second["name"], second["cat"]) == ("mod.f", "task::f", "m", "task::A.m")
    assert (first["ts"], first["dur"], first["ph"]) == (10.0, 15.0, "X")
    assert (first["pid"], first["tid"]) == ("10.0.0.1", f"worker:{b'w'.hex()}")
    assert first["args"] == {"name": "mod.f", "task_id": b"t".hex()}
