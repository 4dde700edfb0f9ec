"""Worker output that came before its driver."""

from ray._core.common.messages import LogLine
from ray._core.gcs.held_lines import HOLD_S, MOST_LINES, HeldLines


def _batch(*lines):
    return [LogLine(b"j", "ip", 1, "f", False, list(lines))]


def test_lines_wait_for_their_own_driver_in_order_and_are_taken_once():
    held = HeldLines(0.0)
    held.hold(b"1", _batch("a"), 1.0)
    held.hold(b"2", _batch("x"), 1.0)
    held.hold(b"1", _batch("b"), 2.0)
    assert [each.lines for each in held.take(b"1")] == [["a"], ["b"]]
    assert held.take(b"1") == []
    assert len(held.take(b"2")) == 1


def test_after_a_while_nobody_is_waited_for():
    held = HeldLines(0.0)
    held.hold(b"1", _batch("a"), HOLD_S - 1)
    held.hold(b"1", _batch("b"), HOLD_S)
    assert held.take(b"1") == []


def test_what_was_taken_makes_room():
    held = HeldLines(0.0)
    for _ in range(3):
        held.hold(b"1", _batch(*["line"] * MOST_LINES), 1.0)
        assert sum(len(each.lines) for each in held.take(b"1")) == MOST_LINES


def test_a_job_without_a_driver_cannot_fill_the_memory():
    held = HeldLines(0.0)
    for _ in range(3):
        held.hold(b"1", _batch(*["line"] * (MOST_LINES // 2)), 1.0)
    assert sum(len(each.lines) for each in held.take(b"1")) == MOST_LINES
