"""What log records carry, by name."""

from __future__ import annotations

import enum
import logging

LOGRECORD_STANDARD_ATTRS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; anything else on it came by `extra=`, or from `CoreContextFilter`."""
LOGGER_FLATTEN_KEYS = {"ray_serve_extra_fields"}


class LogKey(enum.StrEnum):
    JOB_ID = "job_id"
    WORKER_ID = "worker_id"
    NODE_ID = "node_id"
    ACTOR_ID = "actor_id"
    TASK_ID = "task_id"
    ACTOR_NAME = "actor_name"
    TASK_NAME = "task_name"
    TASK_FUNCTION_NAME = "task_func_name"
    ASCTIME = "asctime"
    LEVELNAME = "levelname"
    MESSAGE = "message"
    FILENAME = "filename"
    LINENO = "lineno"
    EXC_TEXT = "exc_text"
    PROCESS = "process"
    TIMESTAMP_NS = "timestamp_ns"
