"""Log records that know where they come from, for handlers of a program's own."""

from __future__ import annotations

import logging

from ray._core.worker.job_logging import where


class CoreContextFilter(logging.Filter):
    """Lets every record through, with the ids and names of what runs on this thread as attributes."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in where().items():
            setattr(record, name, value)
        return True
