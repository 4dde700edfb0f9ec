"""`ray.LoggingConfig` in the driver and in the workers of its job.

Source: Ray docs, "Configuring logging", structured logging.
"""

import json
import logging

import pytest
from driving import drive

from ray._private.logging_config import configure_driver, log

BODY = """
import logging
ray.shutdown()
ray.init(num_cpus=1, logging_config=ray.LoggingConfig(encoding="JSON", log_level="DEBUG"))
logging.getLogger("mine").info("from the driver")
@ray.remote
def f():
    logging.getLogger("mine").debug("from a task", extra={"step": 3})
    print("plain")
@ray.remote
class A:
    def m(self):
        logging.getLogger("mine").info("from an actor")
ray.get(f.options(name="fancy").remote())
ray.get(A.options(name="star").remote().m.remote())
"""


def test_driver_and_workers_log_json_with_where_they_are():
    out, err = drive(BODY)
    records = {r["message"]: r for line in err if (r := json.loads(line))}
    driver, task, actor = (records[f"from {where}"] for where in ("the driver", "a task", "an actor"))
    assert out == ["plain"]
    assert {each["job_id"] for each in (driver, task, actor)} == {"01000000"}
    assert {each["node_id"] for each in (driver, task, actor)} == {driver["node_id"]}
    assert "task_id" not in driver and "actor_id" not in task
    assert (task["task_name"], task["step"]) == ("fancy", 3)
    assert len(task["task_id"]) == 48
    assert (actor["actor_name"], actor["task_name"]) == ("star", "A.m")
    assert len(actor["actor_id"]) == 32


@pytest.mark.parametrize(("given", "level"), [(logging.INFO, logging.WARNING), ("debug", logging.DEBUG)])
def test_a_variable_sets_the_drivers_level_where_the_program_does_not(monkeypatch, given, level):
    monkeypatch.setenv("RAY_LOGGER_LEVEL", "warning")
    before = log.level
    try:
        configure_driver(True, given, None)
        assert log.level == level
    finally:
        log.setLevel(before)
