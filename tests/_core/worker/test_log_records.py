"""Log records as text and as JSON."""

import json
import logging
import sys

import pytest

from ray._core.worker.log_records import JsonFormatter, TextFormatter
from ray._private.logging_config import LoggingConfig, job_logging

WHERE = {"job_id": "01000000", "task_name": "f"}


def _record(message="x=%s", args=(1,), exc_info=None, **extra):
    record = logging.LogRecord("mine", logging.WARNING, "/a/b.py", 7, message, args, exc_info, func="g")
    vars(record).update(extra)
    return record


def _error():
    try:
        raise ValueError("broken")
    except ValueError:
        return sys.exc_info()


def test_text_is_rays_line_with_where_and_extra_behind_it():
    text = TextFormatter(["name"], lambda: WHERE).format(_record(more="yes"))
    assert "\tWARNING b.py:7 -- x=1 name=mine more=yes job_id=01000000 task_name=f timestamp_ns=" in text


def test_json_has_the_fields_in_ray_s_order():
    fields = json.loads(JsonFormatter(["name", "funcName"], lambda: WHERE).format(_record(more=[1])))
    names = "asctime levelname message filename lineno process name funcName more job_id task_name timestamp_ns"
    assert list(fields) == names.split()
    assert (fields["message"], fields["levelname"], fields["lineno"]) == ("x=1", "WARNING", 7)
    assert (fields["name"], fields["funcName"], fields["more"]) == ("mine", "g", [1])
    assert fields["task_name"] == "f" and isinstance(fields["timestamp_ns"], int)


def test_an_exception_is_part_of_its_record():
    record = _record(exc_info=_error())
    assert "ValueError: broken" in json.loads(JsonFormatter([], dict).format(record))["exc_text"]
    assert "ValueError: broken" in TextFormatter([], dict).format(record)


def test_a_value_that_json_does_not_know_becomes_text():
    fields = json.loads(JsonFormatter([], dict).format(_record(where={1, 2}.__class__)))
    assert fields["where"] == "<class 'set'>"


def test_the_variable_asks_for_an_encoding_and_the_argument_wins():
    assert job_logging(None, {}) == ""
    assert '"JSON"' in job_logging(None, {"RAY_LOGGING_CONFIG_ENCODING": "JSON"})
    assert '"TEXT"' in job_logging(LoggingConfig(), {"RAY_LOGGING_CONFIG_ENCODING": "JSON"})
    with pytest.raises(ValueError, match="XML"):
        job_logging(None, {"RAY_LOGGING_CONFIG_ENCODING": "XML"})


def test_a_level_may_be_a_number():
    assert '"DEBUG"' in job_logging(LoggingConfig(log_level=logging.DEBUG))


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="LOUD"):
        job_logging(LoggingConfig(log_level="LOUD"))
