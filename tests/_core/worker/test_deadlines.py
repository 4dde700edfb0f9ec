"""Deadlines: what is due, against a table that is searched through; and no memory for what has ended."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.worker.deadlines import STALE_KEPT, Deadlines

IDS = st.integers(0, 9).map(lambda number: b"task%d" % number)
MOMENTS = st.integers(0, 20).map(float)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), IDS, MOMENTS),
        st.tuples(st.just("remove"), IDS, st.just(0.0)),
        st.tuples(st.just("due"), st.just(b""), MOMENTS),
    ),
    max_size=60,
)


@given(STEPS)
def test_each_call_is_due_once_at_its_deadline_unless_it_has_ended(steps):
    deadlines, expected = Deadlines(), {}
    for step, task_id, at_s in steps:
        if step == "add":
            deadlines.add(task_id, at_s)
            expected[task_id] = at_s
        elif step == "remove":
            deadlines.remove(task_id)
            expected.pop(task_id, None)
        else:
            due = deadlines.due(at_s)
            assert [expected[task_id] for task_id in due] == sorted(expected[task_id] for task_id in due)
            assert set(due) == {task_id for task_id, when_s in expected.items() if when_s <= at_s}
            assert len(due) == len(set(due))
            for task_id in due:
                del expected[task_id]
        assert len(deadlines) == len(expected)
        assert deadlines.next_at_s == min(expected.values(), default=None)


@given(st.lists(MOMENTS, min_size=1, max_size=300))
def test_calls_that_have_ended_long_before_their_deadlines_are_forgotten(moments):
    deadlines = Deadlines()
    for number, at_s in enumerate(moments):
        deadlines.add(b"task%d" % number, at_s)
        deadlines.remove(b"task%d" % number)
        assert len(deadlines._heap) <= STALE_KEPT + 1
