"""Pages of free memory go back once, after a while, and never those of memory that is in use."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.raylet.idle_memory import IdleMemory


def test_pages_stay_for_a_while_and_go_step_by_step():
    idle = IdleMemory(keep_s=10.0)
    assert idle.due_s is None
    idle.freed(0, 100, now_s=1.0)
    idle.freed(500, 50, now_s=2.0)
    assert idle.due_s == 11.0
    assert idle.take_due(10.9, 1000) == []
    assert idle.take_due(11.0, 60) == [(0, 60)]
    assert idle.take_due(11.0, 60) == [(60, 40)]
    assert idle.due_s == 12.0
    assert idle.take_due(20.0, 1000) == [(500, 50)]
    assert idle.size == 0


def test_what_is_taken_again_stays_and_tells_whether_it_has_pages():
    idle = IdleMemory(keep_s=10.0)
    idle.freed(100, 100, now_s=0.0)
    assert idle.taken(120, 30)
    assert not idle.taken(180, 30), "its end never had any"
    assert sorted(idle.take_due(10.0, 1000)) == [(100, 20), (150, 30)]


UNITS = 24
STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "free", "free", "wait"]), st.integers(0, UNITS - 1), st.integers(1, 8)),
    min_size=5,
    max_size=40,
)


@given(STEPS)
def test_against_a_model_that_notes_each_byte(steps):
    idle, now_s = IdleMemory(keep_s=3.0), 0.0
    used, since = set(), {}
    for action, start, size in steps:
        part = set(range(start, min(start + size, UNITS)))
        if action == "take" and not part & used:
            assert idle.taken(start, len(part)) == (part <= since.keys())
            used |= part
            for each in part:
                since.pop(each, None)
        elif action == "free" and part <= used:
            idle.freed(start, len(part), now_s)
            used -= part
            since.update(dict.fromkeys(part, now_s))
        elif action == "wait":
            now_s += 1.0
            gone = {each for offset, length in idle.take_due(now_s, size) for each in range(offset, offset + length)}
            assert len(gone) == min(size, sum(at_s + 3.0 <= now_s for at_s in since.values()))
            assert all(since.pop(each) + 3.0 <= now_s for each in gone)
        assert idle.size == len(since)
        assert idle.due_s == (min(since.values()) + 3.0 if since else None)
