"""Prefixes and colours on the driver."""

import pytest

from ray._core.common import log_settings
from ray._core.common.log_settings import LogSettings
from ray._core.common.messages import ErrorEvent, LogLine
from ray._core.worker.log_dedup import Shown
from ray._core.worker.log_format import HINT, LogFormat, _duration


def _line(format_, text="hi", name="f", ip="10.0.0.1", repeats=1):
    return format_.line(Shown(LogLine(b"j", ip, 12, name, False, []), text, repeats))


def test_a_line_says_who_printed_it_and_in_colour():
    assert _line(LogFormat(LogSettings(), "10.0.0.1")) == "\x1b[36m(f pid=12)\x1b[0m hi\n"


def test_a_line_of_another_node_says_which():
    assert _line(LogFormat(LogSettings(color=0), "10.0.0.9")) == "(f pid=12, ip=10.0.0.1) hi\n"


def test_a_worker_without_a_name_has_its_process_id():
    assert _line(LogFormat(LogSettings(color=0), "10.0.0.1"), name="") == "(pid=12) hi\n"


def test_without_prefix_there_is_only_the_text():
    assert _line(LogFormat(LogSettings(prefix=False), "10.0.0.1")) == "hi\n"


def test_processes_have_colours_of_their_own_if_wanted():
    coloured = LogFormat(LogSettings(color=1), "")
    sources = [LogLine(b"j", "", pid, "f", False, []) for pid in range(6)]
    assert len({coloured.prefix(source)[:5] for source in sources}) == 6


def test_repeated_lines_say_how_often_and_explain_it_once():
    format_ = LogFormat(LogSettings(color=0), "10.0.0.1")
    assert _line(format_, repeats=3) == f"(f pid=12) hi\x1b[32m [repeated 3x across cluster]{HINT}\x1b[0m\n"
    assert _line(format_, repeats=2) == "(f pid=12) hi\x1b[32m [repeated 2x across cluster]\x1b[0m\n"


def test_events_say_where_they_come_from():
    format_ = LogFormat(LogSettings(color=0), "")
    assert format_.event(ErrorEvent(b"", "oom", "killed"), 5) == "(raylet) killed\n"
    event = ErrorEvent(b"", "x", "adding nodes", source="autoscaler")
    assert format_.event(event, 65.7) == "(autoscaler +1m5s) adding nodes\n"


@pytest.mark.parametrize(("seconds", "text"), [(5.9, "5s"), (184, "3m4s"), (7209, "2h0m9s")])
def test_durations_are_short(seconds, text):
    assert _duration(seconds) == text


def test_settings_come_from_the_variables_that_users_know():
    environ = {
        "RAY_LOG_TO_DRIVER": "0",
        "RAY_DEDUP_LOGS": "0",
        "RAY_DEDUP_LOGS_AGG_WINDOW_S": "2.5",
        "RAY_DEDUP_LOGS_ALLOW_REGEX": "a+",
        "RAY_DEDUP_LOGS_SKIP_REGEX": "b+",
        "RAY_COLOR_PREFIX": "1",
        "RAY_DISABLE_WORKER_LOG_PREFIX": "1",
        "RAY_SCHEDULER_EVENTS": "0",
    }
    assert log_settings.load(environ) == LogSettings(
        to_driver=False,
        dedup=False,
        dedup_window_s=2.5,
        dedup_allow="a+",
        dedup_skip="b+",
        color=1,
        prefix=False,
        scheduler_events=False,
    )
    assert log_settings.load({}) == LogSettings()


@pytest.mark.parametrize(
    ("name", "value"), [("RAY_DEDUP_LOGS_AGG_WINDOW_S", "soon"), ("RAY_DEDUP_LOGS_SKIP_REGEX", "(")]
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        log_settings.load({name: value})
