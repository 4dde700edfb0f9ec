"""Which lease request gets this node's resources.

Floor: raylet, pure. Requests wait by job, first come first served within a job, and jobs take turns; so a job
that asks for thousands does not starve one that asks for one. Amounts are fixed point (see common.resources).
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, deque

from ray._core.common.resources import Resources, add, fits, missing, subtract


@dataclasses.dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits. `key` is the caller's name for it."""

    key: object
    job_id: bytes
    demand: Resources


class Scheduler:
    """Resources of one node, and who waits for them."""

    def __init__(self, total: Resources) -> None:
        self.total = dict(total)
        self.available = dict(total)
        self._held: dict[int, Resources] = {}
        self._blocked: set[int] = set()
        self._queues: OrderedDict[bytes, deque[Waiting]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Scheduler held={len(self._held)} blocked={len(self._blocked)} waiting={len(self.waiting())}>"

    def missing(self, demand: Resources) -> Resources:
        """What this node lacks for `demand` even when it is idle; empty: feasible."""
        return missing(demand, self.total)

    def enqueue(self, request: Waiting) -> None:
        self._queues.setdefault(request.job_id, deque()).append(request)

    def cancel(self, key: object) -> bool:
        """Forget a waiting request. False: it does not wait."""
        for queue in self._queues.values():
            for request in queue:
                if request.key == key:
                    queue.remove(request)
                    return True
        return False

    def next_grant(self, lease_id: int) -> Waiting | None:
        """Take resources for the next request that fits, under `lease_id`; None when none does.

        Only the head of each job's queue is looked at: a large request is not overtaken for ever by small ones.
        """
        for job_id in list(self._queues):
            queue = self._queues[job_id]
            if not queue:
                del self._queues[job_id]
                continue
            if fits(queue[0].demand, self.available):
                request = queue.popleft()
                self._queues.move_to_end(job_id)
                subtract(self.available, request.demand)
                self._held[lease_id] = request.demand
                return request
        return None

    def release(self, lease_id: int) -> None:
        """The lease is over; an unknown one (returned twice) changes nothing."""
        held = self._held.pop(lease_id, None)
        if held is None:
            return
        if lease_id in self._blocked:
            self._blocked.discard(lease_id)
            held = {name: units for name, units in held.items() if name != "CPU"}
        add(self.available, held)

    def set_blocked(self, lease_id: int, blocked: bool) -> None:
        """A worker waits in get and lends its CPU, or goes on and takes it back, even below zero."""
        if lease_id not in self._held or (lease_id in self._blocked) == blocked:
            return
        cpu = {"CPU": self._held[lease_id].get("CPU", 0)}
        if blocked:
            self._blocked.add(lease_id)
            add(self.available, cpu)
        else:
            self._blocked.discard(lease_id)
            subtract(self.available, cpu)

    def waiting(self) -> list[Waiting]:
        return [request for queue in self._queues.values() for request in queue]

    def validate(self) -> None:
        """Held and available add up to the total, but for the CPUs that blocked workers lent."""
        sums = dict(self.available)
        for lease_id, held in self._held.items():
            lent = {"CPU"} if lease_id in self._blocked else set()
            add(sums, {name: units for name, units in held.items() if name not in lent})
        assert {n: u for n, u in sums.items() if u} == {n: u for n, u in self.total.items() if u}, self
