"""Log records as text or JSON, with where they come from: job, worker, node, task, actor.

Floor: worker, pure. `where()` is asked at each record, so that the task is the one that logs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

Where = Callable[[], Mapping[str, str]]
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""What every record has; anything else on it came by `extra=`."""
_JSON_FIELDS = ("levelname", "message", "filename", "lineno", "process")


class _Structured(logging.Formatter):
    def __init__(self, attributes: list[str], where: Where) -> None:
        super().__init__("%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s")
        self._attributes, self._where = attributes, where

    def _details(self, record: logging.LogRecord) -> dict[str, Any]:
        """The wanted standard attributes, what the caller gave as `extra`, and where the record comes from."""
        fields = vars(record)
        details = {name: fields.get(name) for name in self._attributes}
        details |= {name: value for name, value in fields.items() if name not in _PLAIN}
        details |= self._where()
        # Not `record.created`, a float, whose digits end at 0.2 µs; Python 3.13 has the time in ns.
        details["timestamp_ns"] = getattr(record, "created_ns", None) or int(record.created * 1e9)
        return details


class TextFormatter(_Structured):
    """A line as Ray's own, and the details behind it as `key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join([super().format(record), *(f"{k}={v}" for k, v in self._details(record).items())])


class JsonFormatter(_Structured):
    """One JSON object a line; values that JSON does not know become their text."""

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        fields: dict[str, Any] = {"asctime": self.formatTime(record)}
        fields |= {name: getattr(record, name) for name in _JSON_FIELDS}
        if record.exc_info:
            fields["exc_text"] = record.exc_text = record.exc_text or self.formatException(record.exc_info)
        return json.dumps(fields | self._details(record), default=str)


FORMATTERS: dict[str, type[_Structured]] = {"TEXT": TextFormatter, "JSON": JsonFormatter}
