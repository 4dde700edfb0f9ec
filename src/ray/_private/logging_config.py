"""`ray.LoggingConfig`: how the root loggers of driver and workers write. `ray.init` does not take it yet."""

from __future__ import annotations

import dataclasses
import logging

ENCODINGS = ("TEXT", "JSON")
_KNOWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) - {"args", "exc_info", "exc_text", "msg", "stack_info"}


@dataclasses.dataclass
class LoggingConfig:
    """`additional_log_standard_attrs`: names of attributes of `logging.LogRecord` to add to each record.

    Raises:
        ValueError: an unknown encoding or attribute.
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
