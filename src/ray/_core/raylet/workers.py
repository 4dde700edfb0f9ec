"""The workers of a node, who leases them, and which are idle. Floor: raylet, pure."""

from __future__ import annotations

import dataclasses
from typing import Any

from ray._core.common.messages import Address


@dataclasses.dataclass(slots=True)
class Worker:
    """A worker process. `address` None: forked, not registered yet. `connection` is the shell's."""

    worker_id: bytes
    pid: int = 0
    address: Address | None = None
    connection: Any = None
    job_id: bytes = b""
    lease_id: int = 0
    owner: Any = None
    exit_kind: str = ""
    exit_note: str = ""
    """Why it ends, as far as it is known before it does."""
    status: int | None = None
    """As waitpid told it; None while the process lives."""
    hosted: Any = None
    """The actor in it (actor_host.Hosted)."""
    is_revoked: bool = False
    """Its lease has been asked back already: once is enough."""


class WorkerPool:
    """Idle workers are reused last-in first-out; one that ran for a job serves only that job."""

    def __init__(self) -> None:
        self.workers: dict[bytes, Worker] = {}
        self._idle: list[Worker] = []

    def __repr__(self) -> str:
        return f"<WorkerPool workers={len(self.workers)} idle={len(self._idle)}>"

    def take_idle(self, job_id: bytes) -> Worker | None:
        for number in range(len(self._idle) - 1, -1, -1):
            if self._idle[number].job_id in (b"", job_id):
                worker = self._idle.pop(number)
                worker.job_id = job_id
                return worker
        return None

    def put_idle(self, worker: Worker) -> None:
        worker.lease_id, worker.owner, worker.is_revoked = 0, None, False
        self._idle.append(worker)

    def surplus(self, limit: int) -> list[Worker]:
        """Idle workers beyond `limit`, longest idle first; they are no longer offered."""
        gone = self._idle[: max(len(self._idle) - limit, 0)]
        del self._idle[: len(gone)]
        return gone

    def remove(self, worker_id: bytes) -> Worker | None:
        worker = self.workers.pop(worker_id, None)
        if worker in self._idle:
            self._idle.remove(worker)
        return worker

    def by_pid(self, pid: int) -> Worker | None:
        return next((worker for worker in self.workers.values() if worker.pid == pid), None)

    def by_lease(self, lease_id: int) -> Worker | None:
        return next((w for w in self.workers.values() if w.lease_id == lease_id and lease_id), None)

    def of_owner(self, owner: Any) -> list[Worker]:
        return [worker for worker in self.workers.values() if worker.owner is owner]
