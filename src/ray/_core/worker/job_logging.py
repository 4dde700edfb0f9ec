"""The logging that a driver wants in its whole job (`ray.LoggingConfig`): set up in the driver and in its workers.

Floor: worker, shell. The settings travel as JSON beside the job's code (`TaskTemplate.logging`).
"""

from __future__ import annotations

import logging

import msgspec

from ray._core.worker import object_ref as _process
from ray._core.worker.invocation import current
from ray._core.worker.log_records import FORMATTERS


class JobLogging(msgspec.Struct, frozen=True):
    """As `ray.LoggingConfig`; `attributes` are names of `logging.LogRecord`'s own."""

    encoding: str = "TEXT"
    level: str = "INFO"
    attributes: list[str] = []

    def encode(self) -> str:
        return msgspec.json.encode(self).decode()


def set_up(text: str) -> None:
    """Have the root logger and "ray" write as the settings (their JSON) say, to standard error.

    A handler that the user has put on the root logger stays, with the new format: the record is not written twice.
    """
    settings = msgspec.json.decode(text, type=JobLogging)
    formatter = FORMATTERS[settings.encoding](settings.attributes, where)
    for name in ("", "ray"):
        logger = logging.getLogger(name)
        logger.setLevel(settings.level)
        streams = [handler for handler in logger.handlers if type(handler) is logging.StreamHandler]
        if not streams:
            streams = [logging.StreamHandler()]
            logger.addHandler(streams[0])
        for handler in streams:
            handler.setFormatter(formatter)
    logging.getLogger("ray").propagate = False


def where() -> dict[str, str]:
    """Ids and names of what runs on this thread; those that there are. Empty without a session."""
    core = _process._core
    if core is None:
        return {}
    found = {"job_id": core.job_id.hex(), "worker_id": core.worker_id.hex(), "node_id": core.node.node_id.hex()}
    if core.actor_id:
        found["actor_id"] = core.actor_id.hex()
    call = current.get()
    if call is not None:
        found["task_id"] = call.task_id.hex()
        found["task_name"] = call.template.name
        found["task_func_name"] = call.template.function_name
    if core.actor_name:
        found["actor_name"] = core.actor_name
    return found
