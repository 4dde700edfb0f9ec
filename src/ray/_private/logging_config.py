"""`ray.LoggingConfig` and the driver's own logger."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping

from ray._core.worker.job_logging import JobLogging

ENCODINGS = ("TEXT", "JSON")
_KNOWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) - {"args", "exc_info", "exc_text", "msg", "stack_info"}
_PATTERN = "%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s"
log = logging.getLogger("ray")


@dataclasses.dataclass
class LoggingConfig:
    """How the root loggers of the driver and of its workers write.

    Args:
        encoding: "TEXT" or "JSON", one record a line.
        log_level: of the root logger.
        additional_log_standard_attrs: names of attributes of `logging.LogRecord` to add to each record.
    Raises:
        ValueError: an unknown encoding, level or attribute.
    """

    encoding: str = "TEXT"
    log_level: str = "INFO"
    additional_log_standard_attrs: list[str] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise ValueError(f"Invalid encoding type: {self.encoding!r}. Valid ones: {', '.join(ENCODINGS)}.")
        for name in self.additional_log_standard_attrs:
            if name not in _KNOWN_ATTRIBUTES:
                raise ValueError(f"{name!r} is no attribute of a log record. Valid ones: {sorted(_KNOWN_ATTRIBUTES)}.")


def job_logging(config: LoggingConfig | None, environ: Mapping[str, str] = os.environ) -> str:
    """JSON for the job's processes; "" when nothing was asked for. RAY_LOGGING_CONFIG_ENCODING asks too.

    Raises:
        ValueError: an unknown level, or a variable that names no encoding.
    """
    if config is None:
        encoding = environ.get("RAY_LOGGING_CONFIG_ENCODING", "")
        if not encoding:
            return ""
        config = LoggingConfig(encoding=encoding)
    given: object = config.log_level  # a number works too, as everywhere in `logging`
    level = logging.getLevelName(given) if isinstance(given, int) else str(given).upper()
    if level not in logging.getLevelNamesMapping():
        known = ", ".join(logging.getLevelNamesMapping())
        raise ValueError(f"log_level={config.log_level!r} of LoggingConfig is no level. Known levels: {known}.")
    return JobLogging(config.encoding, level, config.additional_log_standard_attrs).encode()


def configure_driver(wanted: bool, level: int | str, pattern: str | None) -> None:
    """Give the logger "ray" of this process a handler and a level, or take its handlers away.

    RAY_LOGGER_LEVEL sets the level where `ray.init` was given none but the default.
    """
    if not wanted:
        log.handlers.clear()
        return
    if level in (logging.INFO, "info"):
        level = os.environ.get("RAY_LOGGER_LEVEL") or level
    log.setLevel(level.upper() if isinstance(level, str) else level)
    if not log.handlers:
        log.addHandler(logging.StreamHandler())
        log.propagate = False
    for handler in log.handlers:
        handler.setFormatter(logging.Formatter(pattern or _PATTERN))
