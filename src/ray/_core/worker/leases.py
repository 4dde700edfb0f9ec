"""Which worker runs which task: the owner's side of leases.

Floor: worker, pure. One `LeaseQueue` per scheduling class. The core worker reports what happened and carries out the
orders that each call returns. Knows task ids and durations, never values or sockets.
Source: docs/architecture.md, "Tasks and actors": leases, pipelining with recall.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Collection, Iterable

import msgspec

OVERHEAD_US = 20.0
"""What a worker spends on a task besides the user's function (2 cores, Python 3.11)."""


@dataclasses.dataclass(slots=True)
class Lease:
    """A worker of ours for a while.

    `running` maps the ids pushed and not answered to their predicted duration; `load_us` is its sum. A blocked lease
    (its task waits in get, or runs long) is pushed nothing.
    """

    lease_id: int
    worker_id: bytes
    running: dict[bytes, float] = dataclasses.field(default_factory=dict)
    load_us: float = 0.0
    granted_at_s: float = 0.0
    blocked: bool = False
    revoked: bool = False
    idle_since_s: float = 0.0


class Push(msgspec.Struct, frozen=True):
    task_id: bytes
    lease_id: int


class AskForLease(msgspec.Struct, frozen=True):
    """Send one more lease request."""


class ReturnLease(msgspec.Struct, frozen=True):
    lease_id: int


Order = Push | AskForLease | ReturnLease


class LeaseQueue:
    """Tasks of one scheduling class, and the leases that run them.

    Args:
        target_us: a worker's queue is filled with about this much predicted work; a task of unknown duration counts
            as all of it, so that nothing waits behind it.
        max_depth: and with no more tasks than this.
        max_requests: lease requests open at a time.
        single_use: each lease runs one task and goes back, so that each task is placed anew (SPREAD).
    """

    def __init__(self, target_us: float, max_depth: int, max_requests: int = 16, *, single_use: bool = False) -> None:
        self.target_us = target_us
        self.max_depth = 1 if single_use else max_depth
        self.single_use = single_use
        self.max_requests = max_requests
        self.key: object = None
        """The caller's name for it."""
        self.priority = 0
        """As the caller has it; nothing depends on it here."""
        self.waiting: deque[tuple[bytes, float | None]] = deque()
        self.leases: dict[int, Lease] = {}
        self.idle: dict[int, Lease] = {}
        """Those of `leases` that run nothing."""
        self.open_requests = 0

    @property
    def is_needless(self) -> bool:
        """Nothing waits, runs, or is asked for."""
        return not (self.waiting or self.leases or self.open_requests)

    def __repr__(self) -> str:
        return f"<LeaseQueue waiting={len(self.waiting)} leases={len(self.leases)} requests={self.open_requests}>"

    def submit(self, task_id: bytes, estimate_us: float | None) -> list[Order]:
        """A task is ready to run."""
        is_full = bool(self.waiting)  # else there would be room: see `validate`
        self.waiting.append((task_id, estimate_us))
        if is_full and self.open_requests >= min(len(self.waiting), self.max_requests):
            return []
        return self.fill()

    def granted(self, lease_id: int, worker_id: bytes, now_s: float = 0.0) -> list[Order]:
        """An open request was answered by a lease; it goes straight back when nothing waits any more."""
        self.open_requests -= 1
        if not self.waiting:
            return [ReturnLease(lease_id)]
        lease = self.leases[lease_id] = Lease(lease_id, worker_id, granted_at_s=now_s)
        return self.fill((lease,))

    def refused(self) -> list[Order]:
        """An open request was answered by no lease; the caller decides whether the tasks fail (`drain`)."""
        self.open_requests -= 1
        return []

    def finished(self, lease_id: int, task_id: bytes, now_s: float, turn_s: float | None = None) -> list[Order]:
        """A worker answered for a task: it takes new ones again, whatever blocked it before.

        `turn_s`: other queues wait for a lease, so one that this queue has had for so long goes back.
        """
        lease = self.leases.get(lease_id)
        if lease is None:
            return []
        lease.load_us -= lease.running.pop(task_id, 0.0)
        lease.blocked = False
        if turn_s is not None and now_s - lease.granted_at_s >= turn_s:
            lease.revoked = True
        return self._settle(lease, now_s)

    def handed_back(
        self, lease_id: int, tasks: list[tuple[bytes, float | None]], now_s: float, void: Collection[bytes] = ()
    ) -> list[Order]:
        """A worker that blocks, or whose task runs long, returned what it had not started; those go first again, but
        for `void` ones, which are not wanted any more. If it has answered that task by now, it takes new ones."""
        lease = self.leases.get(lease_id)
        if lease is not None:
            for task_id in (*(task_id for task_id, _ in tasks), *void):
                lease.load_us -= lease.running.pop(task_id, 0.0)
            lease.blocked = bool(lease.running)
        self.waiting.extendleft(reversed(tasks))
        orders = self.fill()
        return orders if lease is None else orders + self._settle(lease, now_s)

    def revoke(self, lease_id: int, now_s: float) -> list[Order]:
        """The raylet wants this lease for others: nothing more is pushed, and it returns when it is idle."""
        lease = self.leases.get(lease_id)
        if lease is None:
            return []
        lease.revoked = True
        return self._settle(lease, now_s)

    def worker_exits(self, lease_id: int) -> None:
        """The worker takes no more tasks; `finished` or `handed_back` follows and returns the lease."""
        lease = self.leases.get(lease_id)
        if lease is not None:
            lease.revoked = True

    def lost(self, lease_id: int) -> list[bytes]:
        """The worker is gone; the ids that were pushed to it, oldest first, for the caller to retry or fail."""
        lease = self.leases.pop(lease_id, None)
        self.idle.pop(lease_id, None)
        return list(lease.running) if lease is not None else []

    def expire(self, now_s: float, linger_s: float) -> list[Order]:
        """Give back leases that have been idle for `linger_s`."""
        if self.waiting:
            return []
        expired = [lease_id for lease_id, lease in self.idle.items() if now_s - lease.idle_since_s >= linger_s]
        for lease_id in expired:
            del self.leases[lease_id], self.idle[lease_id]
        return [ReturnLease(lease_id) for lease_id in expired]

    def fill(self, among: Iterable[Lease] | None = None) -> list[Order]:
        """Push while some lease has room (the least loaded first), then ask for more leases.

        `among`: the only ones that can have room, since tasks waited before (see `validate`): there may be hundreds.
        """
        orders: list[Order] = []
        candidates = self.leases.values() if among is None else among
        while self.waiting:
            roomy = [lease for lease in candidates if self._has_room(lease)]
            if not roomy:
                break
            lease = min(roomy, key=lambda each: each.load_us)
            task_id, estimate_us = self.waiting.popleft()
            load_us = self.target_us if estimate_us is None else estimate_us + OVERHEAD_US
            if not lease.running:
                self.idle.pop(lease.lease_id, None)
            lease.running[task_id] = load_us
            lease.load_us += load_us
            orders.append(Push(task_id, lease.lease_id))
        while self.open_requests < min(len(self.waiting), self.max_requests):
            self.open_requests += 1
            orders.append(AskForLease())
        return orders

    def remove(self, task_id: bytes) -> bool:
        """Take a waiting task out (it was cancelled). False: it does not wait here."""
        waiting = self.waiting
        if waiting and waiting[0][0] == task_id:  # in order of submission, or in the reverse of it: no search
            waiting.popleft()
            return True
        if waiting and waiting[-1][0] == task_id:
            waiting.pop()
            return True
        for number, entry in enumerate(waiting):
            if entry[0] == task_id:
                del waiting[number]
                return True
        return False

    def drain(self) -> list[bytes]:
        """Empty the queue: nothing will ever serve it."""
        waiting, self.waiting = self.waiting, deque()
        return [task_id for task_id, _ in waiting]

    def validate(self) -> None:
        """The invariants; tests call it after each event."""
        for lease in self.leases.values():
            assert abs(lease.load_us - sum(lease.running.values())) < 1e-3, lease
            assert len(lease.running) <= self.max_depth, lease
            assert (lease.lease_id in self.idle) <= (not lease.running), lease
            assert lease.running or lease.lease_id in self.idle, lease
        assert 0 <= self.open_requests <= self.max_requests, self
        if any(self._has_room(lease) for lease in self.leases.values()):
            assert not self.waiting, self

    # ---------------------------------------------------------- inside

    def _settle(self, lease: Lease, now_s: float) -> list[Order]:
        if self.single_use and not lease.running:
            lease.revoked = True
        orders = self.fill((lease,))
        if not lease.running:
            lease.idle_since_s = now_s
            if lease.revoked:
                del self.leases[lease.lease_id]
                self.idle.pop(lease.lease_id, None)
                orders.append(ReturnLease(lease.lease_id))
            else:
                self.idle[lease.lease_id] = lease
        return orders

    def _has_room(self, lease: Lease) -> bool:
        if lease.blocked or lease.revoked:
            return False
        return not lease.running or (lease.load_us < self.target_us and len(lease.running) < self.max_depth)
