"""The workers of a node, who leases them, and which are idle. Floor: raylet, pure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from typing import Any

from ray._core.common.messages import Address


@dataclasses.dataclass(slots=True, eq=False)
class Worker:
    """A worker process. `address` None: forked, not registered yet. `connection` is the shell's."""

    worker_id: bytes
    pid: int = 0
    """Of the worker itself, as soon as it has connected."""
    child_pid: int = 0
    """Of what the zygote started: another one where a program has the worker inside it (podman, nsys, uv run)."""
    address: Address | None = None
    connection: Any = None
    job_id: bytes = b""
    runtime_env: str = ""
    log: str = ""
    """Path of its output files, without ".out" and ".err"."""
    lease_id: int = 0
    owner: Any = None
    idle_since_s: float = 0.0
    has_served: bool = False
    """It was leased before, so it may own what others borrow."""
    needed_at_s: float = -math.inf
    """When it last said that it cannot end, since others borrow what it owns."""
    working_since_s: float = 0.0
    launch_time_ms: int = 0
    """Since 1970: when it was asked for, and (`start_time_ms`) when it had registered."""
    start_time_ms: int = 0
    is_retriable: bool = True
    """What it does now may run again if the process is killed."""
    exit_kind: str = ""
    exit_note: str = ""
    """Why it ends, as far as it is known before it does."""
    status: int | None = None
    """As waitpid told it; None while the process lives."""
    hosted: Any = None
    """The actor in it (actor_host.Hosted)."""
    is_ending: bool = False
    """It was killed, and is not dead yet: nobody is to get it any more."""
    broken_lease_id: int = 0
    """The lease in which its owner lost the connection to it."""


class WorkerPool:
    """Idle workers are reused last-in first-out; one that ran for a job serves only that job, and none ever changes
    its runtime environment."""

    def __init__(self) -> None:
        self.workers: dict[bytes, Worker] = {}
        self.starting: dict[tuple[bytes, str], int] = {}
        """How many were asked for that have not registered yet, by job and environment (b"", "" for none)."""
        self._idle: list[Worker] = []
        self._by_pid: dict[int, Worker] = {}
        self._by_lease: dict[int, Worker] = {}
        self._by_owner: dict[Any, dict[int, Worker]] = {}
        self._kept: dict[Any, dict[int, Worker]] = {}
        """Leases that nobody has asked back yet: once is enough."""

    def __repr__(self) -> str:
        return f"<WorkerPool workers={len(self.workers)} idle={len(self._idle)} starting={sum(self.starting.values())}>"

    # ---------------------------------------------------------- life

    def add(self, worker: Worker) -> None:
        """It has been asked for; `forked` and `registered` follow, or `remove`."""
        self.workers[worker.worker_id] = worker
        self._count_starting(worker, 1)

    def forked(self, worker: Worker, pid: int) -> None:
        worker.child_pid = pid
        worker.pid = worker.pid or pid  # it may have connected before the zygote's word came
        self._by_pid[pid] = worker

    def registered(self, worker: Worker, address: Address) -> None:
        if worker.address is None:
            self._count_starting(worker, -1)
        worker.address = address

    def remove(self, worker_id: bytes) -> Worker | None:
        worker = self.workers.pop(worker_id, None)
        if worker is None:
            return None
        if worker.address is None:
            self._count_starting(worker, -1)
        if worker in self._idle:
            self._idle.remove(worker)
        self._by_pid.pop(worker.child_pid, None)
        self._unindex(worker)
        return worker

    # ---------------------------------------------------------- leases

    def take_idle(self, job_id: bytes, runtime_env: str = "", needed_before_s: float = math.inf) -> Worker | None:
        """One that has said at `needed_before_s` or later that it cannot end is not taken."""
        for number in range(len(self._idle) - 1, -1, -1):
            worker = self._idle[number]
            fits = worker.job_id in (b"", job_id) and worker.runtime_env == runtime_env
            if fits and not worker.is_ending and worker.needed_at_s < needed_before_s:
                del self._idle[number]
                worker.job_id = job_id
                return worker
        return None

    def lease(self, worker: Worker, lease_id: int, owner: Any) -> None:
        """`owner` (the shell's connection) uses `worker` from now on."""
        worker.lease_id, worker.owner = lease_id, owner
        self._by_lease[lease_id] = worker
        self._by_owner.setdefault(owner, {})[lease_id] = worker
        if owner is not None:
            self._kept.setdefault(owner, {})[lease_id] = worker

    def take_kept(self, by_others_than: Collection[Any]) -> list[Worker]:
        """Leases not asked back yet, of owners that somebody else in the set waits for; each is named once."""
        owners = [owner for owner in self._kept if len(by_others_than) > (owner in by_others_than)]
        return [worker for owner in owners for worker in self._kept.pop(owner).values()]

    def end_lease(self, worker: Worker) -> None:
        self._unindex(worker)
        worker.has_served = worker.has_served or worker.lease_id != 0
        worker.lease_id, worker.owner = 0, None

    def put_idle(self, worker: Worker, now_s: float = 0.0) -> None:
        """Its lease is over; one that was killed meanwhile is not offered again."""
        self.end_lease(worker)
        if not worker.is_ending:
            worker.idle_since_s = now_s
            self._idle.append(worker)

    def surplus(self, limit: int, now_s: float = 0.0, patience_s: float = 0.0) -> list[Worker]:
        """Idle workers beyond `limit`, longest idle first; they are no longer offered.

        One with an environment of its own, whose like may take long to start, stays until idle for `patience_s`.
        """
        too_many = max(len(self._idle) - limit, 0)
        gone = [
            worker
            for worker in self._idle
            if now_s - worker.needed_at_s >= patience_s
            and (not worker.runtime_env or now_s - worker.idle_since_s >= patience_s)
        ][:too_many]
        for worker in gone:
            self._idle.remove(worker)
        return gone

    def needed(self, worker: Worker, now_s: float) -> None:
        """A surplus worker does not end, or one is no place for an actor, since it is needed: it is offered again."""
        if not worker.is_ending:
            worker.needed_at_s = now_s
            self._idle.append(worker)

    def idle_count(self) -> int:
        return len(self._idle)

    # ---------------------------------------------------------- lookups

    def by_pid(self, pid: int) -> Worker | None:
        return self._by_pid.get(pid)

    def by_lease(self, lease_id: int) -> Worker | None:
        return self._by_lease.get(lease_id)

    def of_owner(self, owner: Any) -> list[Worker]:
        return list(self._by_owner.get(owner, {}).values())

    def leased(self) -> list[Worker]:
        return list(self._by_lease.values())

    def _count_starting(self, worker: Worker, change: int) -> None:
        kind = (worker.job_id, worker.runtime_env) if worker.runtime_env else (b"", "")
        count = self.starting.pop(kind, 0) + change
        if count:
            self.starting[kind] = count

    def _unindex(self, worker: Worker) -> None:
        for index in (self._by_owner, self._kept):
            leases = index.get(worker.owner)
            if leases is not None:
                leases.pop(worker.lease_id, None)
                if not leases:
                    del index[worker.owner]
        self._by_lease.pop(worker.lease_id, None)
