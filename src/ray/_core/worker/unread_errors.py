"""Logs errors of tasks whose refs went out of scope before anybody looked at them.

Floor: worker, shell. `report` is called with the lock held, so a thread of its own unpickles (user code may run) and
logs. It is started by the first such error.
Source: Ray docs, "Fault tolerance", RAY_IGNORE_UNHANDLED_ERRORS.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from typing import Any

from ray._core.common.errors import RayTaskError
from ray._core.common.messages import Value
from ray._core.store import serialization

logger = logging.getLogger("ray._private.worker")
STOP_TIMEOUT_S = 2.0
"""At most this long a process waits at its end for an error of the user's that is slow to print."""
_MOST_WAITING = 1000
"""Of a flood of errors that nobody reads this many wait to be logged; the rest is counted."""


class UnreadErrors:
    def __init__(self) -> None:
        self.dropped = 0
        """How many were not logged since too many waited."""
        self._ignored = os.environ.get("RAY_IGNORE_UNHANDLED_ERRORS", "0").lower() in ("1", "true")
        self._waiting: queue.Queue[Value | None] = queue.Queue(_MOST_WAITING)
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<UnreadErrors waiting={self._waiting.qsize()} dropped={self.dropped}>"

    def report(self, value: Value) -> None:
        """An error value is being dropped unread."""
        if self._ignored or value.blob is None:
            return
        try:
            self._waiting.put_nowait(value)
        except queue.Full:
            self.dropped += 1
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ray-unread-errors", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Log what waits."""
        if self._thread is not None:
            try:
                self._waiting.put(None, timeout=STOP_TIMEOUT_S)
            except queue.Full:
                return  # the thread hangs in a user's __str__ or a full pipe
            self._thread.join(STOP_TIMEOUT_S)
            self._thread = None

    def _run(self) -> None:
        while (value := self._waiting.get()) is not None:
            if self.dropped:
                logger.error("%d more unhandled errors came too fast to be logged.", self.dropped)
                self.dropped = 0
            text = describe(value)
            if text is not None:
                logger.error("Unhandled error (suppress with 'RAY_IGNORE_UNHANDLED_ERRORS=1'): %s", text)


def describe(value: Value) -> str | None:
    """The error of user code as text; None for one of the system's (a lost object, a cancelled task)."""
    assert value.blob is not None
    try:
        found: Any = serialization.deserialize(value.blob)
        error = getattr(found, "error", None)
        return str(error) if isinstance(error, RayTaskError) else None
    except Exception as problem:  # the user's class cannot be imported here, or its __str__ is broken
        return f"an error that cannot be shown ({type(problem).__name__}: {problem})"
