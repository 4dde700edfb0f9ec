"""The ends of tasks, as batches that nobody decodes here. Floor: gcs, pure."""

from __future__ import annotations

from collections import deque

MOST_BYTES = 256 << 20
"""Of all batches together; a hundred thousand events of tasks that end well take some 15 MB."""


class TaskTable:
    """Keeps the newest batches of up to `limit` events and `most_bytes` in all; older ones go, and are counted."""

    def __init__(self, limit: int, most_bytes: int = MOST_BYTES) -> None:
        self._limit, self._most_bytes = limit, most_bytes
        self._bytes = 0
        self._batches: deque[tuple[bytes, int, bytes]] = deque()
        self.count = 0
        self.forgotten = 0

    def __repr__(self) -> str:
        return f"<TaskTable events={self.count} batches={len(self._batches)} forgotten={self.forgotten}>"

    def add(self, job_id: bytes, count: int, blob: bytes) -> None:
        self._batches.append((job_id, count, blob))
        self.count += count
        self._bytes += len(blob)
        while (self.count > self._limit or self._bytes > self._most_bytes) and len(self._batches) > 1:
            _, gone, old = self._batches.popleft()
            self.count -= gone
            self._bytes -= len(old)
            self.forgotten += gone

    def batches(self, job_id: bytes = b"") -> list[bytes]:
        """Of one job, or of all; oldest first."""
        return [blob for job, _, blob in self._batches if job_id in (b"", job)]
