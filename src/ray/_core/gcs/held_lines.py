"""Worker output that came before its driver: after a restart of the GCS the agents may be back first.

Floor: gcs, pure.
"""

from __future__ import annotations

from ray._core.common.messages import LogLine

HOLD_S = 30.0
"""After the GCS's start; by then every driver that wants its job's output has subscribed."""
MOST_LINES = 10_000
"""Of all jobs together; what comes beyond stays in the log files."""


class HeldLines:
    """Batches by job, for the first `HOLD_S` seconds from `started_at_s`."""

    def __init__(self, started_at_s: float) -> None:
        self._until_s = started_at_s + HOLD_S
        self._by_job: dict[bytes, list[LogLine]] = {}
        self._count = 0

    def __repr__(self) -> str:
        return f"<HeldLines lines={self._count} jobs={len(self._by_job)}>"

    def hold(self, job_id: bytes, batch: list[LogLine], now_s: float) -> None:
        """Nobody has subscribed to this job's output."""
        if now_s >= self._until_s:
            self._by_job.clear()
            self._count = 0
            return
        count = sum(len(each.lines) for each in batch)
        if self._count + count <= MOST_LINES:
            self._count += count
            self._by_job.setdefault(job_id, []).extend(batch)

    def take(self, job_id: bytes) -> list[LogLine]:
        """What was held for a job whose driver is there now, in order."""
        batch = self._by_job.pop(job_id, [])
        self._count -= sum(len(each.lines) for each in batch)
        return batch
