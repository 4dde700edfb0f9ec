"""Level and form of the services' logs. Source: cluster.md 5."""

import json
import logging

import pytest

from ray._core.common import service_logging


@pytest.fixture(autouse=True)
def root():
    """The root logger as it was."""
    logger = logging.getLogger()
    level, handlers = logger.level, list(logger.handlers)
    logger.handlers.clear()  # which `force` would close
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_text_at_info_is_the_default(capsys):
    service_logging.set_up("raylet", {})
    logging.getLogger("x").debug("not told")
    logging.getLogger("x").info("told")
    assert capsys.readouterr().err.endswith(" INFO x: told\n")


def test_json_has_one_object_a_line(capsys):
    service_logging.set_up("gcs_server", {"RAY_BACKEND_LOG_JSON": "1", "RAY_BACKEND_LOG_LEVEL": "debug"})
    try:
        raise ValueError("bad")
    except ValueError:
        logging.getLogger("y").exception("it failed")
    logging.getLogger("y").debug("small")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["levelname"], first["component"]) == ("ERROR", "gcs_server") and "ValueError: bad" in first["message"]
    assert second["message"] == "small" and second["filename"] == "test_service_logging.py"


def test_an_unknown_level_is_told(capsys):
    service_logging.set_up("raylet", {"RAY_BACKEND_LOG_LEVEL": "loud"})
    assert "RAY_BACKEND_LOG_LEVEL='loud' is no level" in capsys.readouterr().err
