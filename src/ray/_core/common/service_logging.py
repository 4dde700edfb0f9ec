"""How the services of a node (GCS, raylet, agent, dashboard) log: level and form, by Ray's variables.

Floor: common.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping

LEVEL_VARIABLE, JSON_VARIABLE = "RAY_BACKEND_LOG_LEVEL", "RAY_BACKEND_LOG_JSON"
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}


class _Json(logging.Formatter):
    """One object a line."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        told = {
            "asctime": self.formatTime(record),
            "levelname": record.levelname,
            "message": message,
            "component": self._component,
            "name": record.name,
            "filename": record.filename,
            "lineno": record.lineno,
        }
        return json.dumps(told)


def set_up(component: str, environ: Mapping[str, str] = os.environ) -> None:
    """Have this process's root logger write to standard error. An unknown level is told there, and means INFO."""
    name = environ.get(LEVEL_VARIABLE, "").strip().lower() or "info"
    handler = logging.StreamHandler()
    if environ.get(JSON_VARIABLE, "0").strip().lower() in ("1", "true"):
        handler.setFormatter(_Json(component))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=_LEVELS.get(name, logging.INFO), handlers=[handler], force=True)
    if name not in _LEVELS:
        known = ", ".join(_LEVELS)
        logging.warning("%s=%r is no level (%s): it is info.", LEVEL_VARIABLE, name, known)
