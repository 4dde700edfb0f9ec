"""Whom to end when memory runs out, and how much is in use."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.raylet.memory_policy import Candidate, Usage, choose_victim, usage_of

MEMINFO = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\n"


def worker(name: bytes, group: str, started: float, *, is_retriable: bool = True) -> Candidate:
    return Candidate(name, group, is_retriable, started)


def test_the_newest_of_the_largest_group_that_can_be_retried_goes():
    candidates = [
        worker(b"1", "small", 9.0),
        worker(b"2", "large", 1.0),
        worker(b"3", "large", 2.0),
        worker(b"4", "fixed", 10.0, is_retriable=False),
        worker(b"5", "fixed", 11.0, is_retriable=False),
        worker(b"6", "fixed", 12.0, is_retriable=False),
    ]
    assert choose_victim(candidates).worker_id == b"3"


def test_of_equal_groups_the_one_with_the_newest_work_is_taken():
    assert choose_victim([worker(b"1", "a", 1.0), worker(b"2", "b", 2.0)]).worker_id == b"2"


def test_without_anything_retriable_the_rest_is_looked_at():
    assert choose_victim([worker(b"1", "a", 1.0, is_retriable=False)]).worker_id == b"1"
    assert choose_victim([]) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 100)), min_size=1))
def test_the_victim_is_retriable_if_any_is_and_the_newest_of_its_group(rows):
    candidates = [Candidate(bytes([n]), group, retriable, at) for n, (group, retriable, at) in enumerate(rows[:250])]
    victim = choose_victim(candidates)
    assert victim.is_retriable == any(each.is_retriable for each in candidates)
    rivals = [each for each in candidates if (each.group, each.is_retriable) == (victim.group, victim.is_retriable)]
    assert victim.started_at_s == max(each.started_at_s for each in rivals)


def test_the_machine_or_its_control_group_counts_whichever_is_tighter():
    assert usage_of(MEMINFO) == Usage(600 * 1024, 1000 * 1024)
    assert usage_of(MEMINFO, "max\n", "5") == Usage(600 * 1024, 1000 * 1024)
    assert usage_of(MEMINFO, "1000\n", "950\n", "anon 1\ninactive_file 50\n") == Usage(900, 1000)
    assert usage_of(MEMINFO, "1000000\n", "950\n", "").total == 1000 * 1024
