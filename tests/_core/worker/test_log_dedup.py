"""Which lines the driver shows at once, and which it counts."""

from ray._core.common.messages import LogLine
from ray._core.worker.log_dedup import LogDeduplicator, pattern
from ray._private import ray_logging


def _batch(pid, *lines, ip="10.0.0.1", is_err=False):
    return LogLine(b"j", ip, pid, "f", is_err, list(lines))


def _said(shown):
    return [(each.source.pid, each.text, each.repeats) for each in shown]


def test_the_first_line_of_a_pattern_comes_at_once_and_the_others_together_as_the_last_of_them():
    dedup = LogDeduplicator(5)
    assert _said(dedup.add(_batch(1, "step 1"), 0.0)) == [(1, "step 1", 1)]
    assert dedup.add(_batch(2, "step 2"), 1.0) == []
    assert dedup.add(_batch(3, "step 0x3f"), 2.0) == []
    assert dedup.expire(4.9) == []
    assert _said(dedup.expire(5.0)) == [(3, "step 0x3f", 2)]


def test_lines_differ_in_words_without_numbers_and_without_any_such_word_they_are_not_held():
    for one, other in (("Rank-3: ok", "ok"), ("pid=3  a", " a"), ("took 1.5s", "took"), ("/tmp/x1/y c", "c")):
        assert pattern(one) == pattern(other) != "", one
    assert pattern("a b") != pattern("a c")
    dedup = LogDeduplicator(5)
    dedup.add(_batch(1, "42 x1", "a,1,b"), 0.0)
    assert _said(dedup.add(_batch(2, "42 x1", "a,2,b"), 0.1)) == [(2, "42 x1", 1), (2, "a,2,b", 1)]


def test_the_interface_that_rays_tests_use():
    now_s = [100.0]
    dedup = ray_logging.LogDeduplicator(5, None, "secret", _timesource=lambda: now_s[0])

    def say(pid, *lines):
        return dedup.deduplicate({"ip": "a", "pid": pid, "lines": list(lines), "job": "j"})

    assert say(1, "hello", "secret") == [{"ip": "a", "pid": 1, "job": "j", "lines": ["hello"]}]
    assert say(2, "hello") == [{"ip": "a", "pid": 2, "job": "j", "lines": []}]
    assert say(3, "hello")[0]["lines"] == []
    now_s[0] += 6
    quiet, held = say(1)
    assert quiet["lines"] == [] and held["pid"] == 3 and held["job"] == "j"
    assert held["lines"][0].startswith("hello\x1b[32m [repeated 2x across cluster]")
    assert say(2, "hello")[0]["lines"] == []
    assert dedup.flush() == [{"ip": "a", "pid": 2, "job": "j", "lines": ["hello"]}]


def test_one_process_alone_may_repeat_itself():
    dedup = LogDeduplicator(5)
    assert len(dedup.add(_batch(1, "a", "a", "a"), 0.0)) == 3


def test_the_same_process_id_on_another_node_is_another_process():
    dedup = LogDeduplicator(5)
    dedup.add(_batch(1, "a"), 0.0)
    assert dedup.add(_batch(1, "a", ip="10.0.0.2"), 0.1) == []


def test_standard_output_and_error_are_counted_apart():
    dedup = LogDeduplicator(5)
    dedup.add(_batch(1, "a"), 0.0)
    assert len(dedup.add(_batch(2, "a", is_err=True), 0.1)) == 1


def test_a_pattern_repeated_by_several_stays_known_and_one_held_once_is_forgotten():
    dedup = LogDeduplicator(5)
    dedup.add(_batch(1, "many", "one"), 0.0)
    dedup.add(_batch(2, "many", "many", "one"), 0.1)
    assert _said(dedup.expire(5.0)) == [(2, "many", 2), (2, "one", 1)]
    assert dedup.add(_batch(3, "many"), 6.0) == []
    assert _said(dedup.add(_batch(3, "one"), 6.0)) == [(3, "one", 1)]
    assert _said(dedup.expire(10.0)) == [(3, "many", 1)]


def test_a_pattern_that_was_not_repeated_is_new_again_after_its_window():
    dedup = LogDeduplicator(5)
    dedup.add(_batch(1, "a"), 0.0)
    assert dedup.expire(5.0) == []
    assert len(dedup.add(_batch(2, "a"), 5.1)) == 1


def test_allowed_lines_are_never_held_and_skipped_ones_never_shown():
    dedup = LogDeduplicator(5, allow="KEEP", skip="HIDE")
    dedup.add(_batch(1, "KEEP", "HIDE", "other"), 0.0)
    assert _said(dedup.add(_batch(2, "KEEP", "HIDE", "other"), 0.0)) == [(2, "KEEP", 1)]


def test_empty_lines_are_never_held():
    dedup = LogDeduplicator(5)
    dedup.add(_batch(1, ""), 0.0)
    assert len(dedup.add(_batch(2, ""), 0.0)) == 1


def test_a_flush_gives_all_that_is_held_once():
    dedup = LogDeduplicator(5)
    dedup.add(_batch(1, "a", "b"), 0.0)
    dedup.add(_batch(2, "a", "a", "b"), 0.0)
    assert _said(dedup.flush()) == [(2, "a", 2), (2, "b", 1)]
    assert dedup.flush() == []
    assert dedup.next_at_s is None


def test_the_next_moment_is_the_end_of_the_oldest_window():
    dedup = LogDeduplicator(5)
    assert dedup.next_at_s is None
    dedup.add(_batch(1, "a"), 1.0)
    dedup.add(_batch(1, "b"), 2.0)
    assert dedup.next_at_s == 6.0
    dedup.expire(6.0)
    assert dedup.next_at_s == 7.0


def test_a_pattern_has_no_numbers():
    assert pattern("step 12/40 at 0xdeadBEEF: 3.5%") == pattern("step 1/2 at 0x1: 0.25%")
