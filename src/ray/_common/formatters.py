"""Formatters of log records: text, and JSON, each with what `CoreContextFilter` put on them."""

from __future__ import annotations

import logging

from ray._core.worker import log_records


class AbstractFormatter(logging.Formatter):
    """What both are, for `isinstance`."""


class TextFormatter(log_records.TextFormatter, AbstractFormatter):
    """A line, and the details behind it as `key=value`."""

    def __init__(self) -> None:
        super().__init__([], dict)

    def set_additional_log_standard_attrs(self, additional_log_standard_attrs: list[str]) -> None:
        """Args: additional_log_standard_attrs: names of `logging.LogRecord`'s own that are wanted too."""
        self._attributes = list(additional_log_standard_attrs)


class JSONFormatter(log_records.JsonFormatter, AbstractFormatter):
    """One JSON object a line."""

    def __init__(self) -> None:
        super().__init__([], dict)

    def set_additional_log_standard_attrs(self, additional_log_standard_attrs: list[str]) -> None:
        """As `TextFormatter`."""
        self._attributes = list(additional_log_standard_attrs)
