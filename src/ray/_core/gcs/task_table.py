"""The ends of tasks, as batches that nobody decodes here. Floor: gcs, pure."""

from __future__ import annotations

from collections import deque


class TaskTable:
    """Keeps the newest batches of up to `limit` events in all; older ones go, and are counted."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batches: deque[tuple[bytes, int, bytes]] = deque()
        self.count = 0
        self.forgotten = 0

    def __repr__(self) -> str:
        return f"<TaskTable events={self.count} batches={len(self._batches)} forgotten={self.forgotten}>"

    def add(self, job_id: bytes, count: int, blob: bytes) -> None:
        self._batches.append((job_id, count, blob))
        self.count += count
        while self.count > self._limit and len(self._batches) > 1:
            _, gone, _ = self._batches.popleft()
            self.count -= gone
            self.forgotten += gone

    def batches(self, job_id: bytes = b"") -> list[bytes]:
        """Of one job, or of all; oldest first."""
        return [blob for job, _, blob in self._batches if job_id in (b"", job)]
