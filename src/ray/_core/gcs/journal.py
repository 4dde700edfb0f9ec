"""Writes of the GCS's tables on their way to the storage, and the gate that nothing passes before they are there.

Floor: gcs, shell. The server is one thread: a handler changes tables, notes the rows in the journal and sends answers
as if all were done. What it sends waits at the gate until the rows are durable. So nobody ever hears of a state that a
crash could take back, and handlers need not know. All writes of one turn of the loop, and of those during the last
commit, share one commit.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ray._core.gcs.storage import Storage, StorageError, Write

logger = logging.getLogger(__name__)
FIRST_RETRY_S, LAST_RETRY_S = 0.1, 5.0
REMEDY = "Whatever changes the cluster's state waits until it can: make room, or bring the storage back."
CLOSE_S = 2.0
"""How long the last commit may take when the GCS is asked to end."""


def _end_if_broken(task: asyncio.Task[None]) -> None:
    """What is no error of the storage is one of ours: no answer would ever leave again, so the process ends."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        logger.critical("The journal is broken; the GCS ends.", exc_info=error)
        os._exit(1)


class Journal:
    """Args:
    storage: None: nothing is kept, and everything passes at once.
    on_trouble: called with what is wrong when commits begin to fail, and with "" when they succeed again.
    """

    def __init__(self, storage: Storage | None, on_trouble: Callable[[str], None] = lambda trouble: None) -> None:
        self._storage = storage
        self.trouble = ""
        """Why what is sent waits: the storage takes nothing."""
        self._on_trouble = on_trouble
        self._pending: list[Write] = []
        self._turn = 1
        """Number of the commit that will hold what is noted now."""
        self._durable = 0
        """Number of the last commit that is in the storage."""
        self._held: deque[tuple[int, Callable[[], None]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gcs-storage")
        self._committing: asyncio.Task[None] | None = None
        self._began_s: float | None = None
        """When the commit under way began, by the loop's clock."""
        self._ended_s = self._took_s = 0.0
        """Of the last commit."""

    def __repr__(self) -> str:
        return (
            f"<Journal turn={self._turn} durable={self._durable} pending={len(self._pending)} held={len(self._held)}>"
        )

    def load(self, table: str) -> dict[bytes, bytes]:
        return {} if self._storage is None else self._storage.load(table)

    def put(self, table: str, key: bytes, value: bytes | None) -> None:
        """Note a row; None deletes it."""
        if self._storage is None:
            return
        self._pending.append(Write(table, key, value))
        if self._committing is None:
            self._committing = asyncio.get_running_loop().create_task(self._commit())
            self._committing.add_done_callback(_end_if_broken)

    def passes(self, send: Callable[[], None]) -> None:
        """Call `send` once all that is noted by now is durable: at once if it is. Calls keep their order."""
        needed = self._turn if self._pending else self._turn - 1
        if needed <= self._durable and not self._held:
            send()
        else:
            self._held.append((needed, send))

    def has_held_since(self, at_s: float) -> bool:
        """Whether nothing has left for most of the time since then (loop time): the storage is slow, or away."""
        now_s = asyncio.get_running_loop().time()
        enough_s = (now_s - at_s) / 2
        is_held = self._began_s is not None and now_s - self._began_s > enough_s
        return is_held or (self._ended_s >= at_s and self._took_s > enough_s)

    async def _commit(self) -> None:
        """Commit until nothing is pending."""
        loop = asyncio.get_running_loop()
        assert self._storage is not None
        await asyncio.sleep(0)  # the rest of this turn's handlers join
        while self._pending:
            batch, self._pending = self._pending, []
            turn, self._turn = self._turn, self._turn + 1
            delay_s, self._began_s = FIRST_RETRY_S, loop.time()
            while True:
                try:
                    await loop.run_in_executor(self._thread, self._storage.commit, batch)
                    break
                except StorageError as error:
                    logger.error("%s. Calls wait; it is tried again in %s s.", error, delay_s)
                    self._set_trouble(f"{error}. {REMEDY}")
                    await asyncio.sleep(delay_s)
                    delay_s = min(delay_s * 2, LAST_RETRY_S)
            self._set_trouble("")
            self._ended_s = loop.time()
            self._took_s, self._began_s = self._ended_s - self._began_s, None
            self._durable = turn
            while self._held and self._held[0][0] <= turn:
                self._held.popleft()[1]()
        self._committing = None

    def _set_trouble(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._on_trouble(trouble)

    async def close(self) -> None:
        """Finish what is under way; what a storage that is away has not taken was never acknowledged."""
        if self._committing is not None:
            await asyncio.wait([self._committing], timeout=CLOSE_S)
        self._thread.shutdown(wait=False)
        if self._storage is not None:
            self._storage.close()
