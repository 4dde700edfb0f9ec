"""The thread in which `ObjectRef.future()` is fulfilled.

Floor: worker, shell. A value arrives with the reactor's lock held, and what its pickle calls may wait for other objects
(`ray.get` in `__setstate__`, say), as may the callbacks of the future: so both run here. One thread, since they are
quick as a rule; it starts with the first.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

logger = logging.getLogger(__name__)


class Deliveries:
    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, deliver: Callable[[], None]) -> None:
        """Have `deliver` called soon. Locked, since it may start the thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ray-deliveries", daemon=True)
            self._thread.start()
        self._queue.put(deliver)

    def stop(self) -> None:
        """End the thread once all that was submitted is delivered; nobody waits for that."""
        if self._thread is not None:
            self._queue.put(None)

    def _run(self) -> None:
        while (deliver := self._queue.get()) is not None:
            try:
                deliver()
            except Exception:  # of the future's callbacks; `concurrent.futures` lets BaseExceptions of them through
                logger.exception("The future of an object could not be fulfilled.")
            del deliver  # it holds the value, which would stay until the next one comes
