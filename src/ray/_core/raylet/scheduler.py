"""Which lease request gets this node's resources.

Floor: raylet, pure. Requests wait by job and, within a job, by shape (what they demand): first come first served
within a shape, while jobs take turns, and the shapes of a job do. So a job that asks for thousands does not starve one
that asks for one, and a request that no node can hold keeps nobody else waiting. Amounts are fixed point (see
common.resources).
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, deque

from ray._core.common.resources import Resources, add, fits, missing, subtract

PATIENCE = 32
"""A shape that was passed over this often while smaller ones were served has what it needs kept free for it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits. `key` is the caller's name for it."""

    key: object
    job_id: bytes
    demand: Resources


@dataclasses.dataclass(slots=True)
class _Line:
    """Requests of one job and one shape. `passed`: how often others were served while the first of it could not be."""

    demand: Resources
    requests: deque[Waiting] = dataclasses.field(default_factory=deque)
    passed: int = 0


def _shape(demand: Resources) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(demand.items()))


class Scheduler:
    """Resources of one node, and who waits for them."""

    def __init__(self, total: Resources) -> None:
        self.total = dict(total)
        self.available = dict(total)
        self._held: dict[int, Resources] = {}
        self._blocked: set[int] = set()
        self._lines: OrderedDict[bytes, OrderedDict[object, _Line]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Scheduler held={len(self._held)} blocked={len(self._blocked)} waiting={len(self.waiting())}>"

    def missing(self, demand: Resources) -> Resources:
        """What this node lacks for `demand` even when it is idle; empty: feasible."""
        return missing(demand, self.total)

    def enqueue(self, request: Waiting) -> None:
        lines = self._lines.setdefault(request.job_id, OrderedDict())
        line = lines.setdefault(_shape(request.demand), _Line(request.demand))
        line.requests.append(request)

    def cancel(self, key: object) -> bool:
        """Forget a waiting request. False: it does not wait."""
        for job_id, lines in self._lines.items():
            for shape, line in lines.items():
                for request in line.requests:
                    if request.key == key:
                        line.requests.remove(request)
                        self._drop_if_empty(job_id, shape)
                        return True
        return False

    def next_grant(self, lease_id: int) -> Waiting | None:
        """Take resources for the next request that fits, under `lease_id`; None when none does."""
        found = self._next()
        if found is None:
            return None
        job_id, shape = found
        line = self._lines[job_id][shape]
        request = line.requests.popleft()
        for other in self._all_lines():
            if other is not line and not fits(other.demand, self.available):
                other.passed += 1
        line.passed = 0
        self._lines[job_id].move_to_end(shape)
        self._lines.move_to_end(job_id)
        self._drop_if_empty(job_id, shape)
        subtract(self.available, request.demand)
        self._held[lease_id] = request.demand
        return request

    def next_waiting(self) -> Waiting | None:
        """What `next_grant` would grant now."""
        found = self._next()
        return None if found is None else self._lines[found[0]][found[1]].requests[0]

    def _next(self) -> tuple[bytes, object] | None:
        reserved = {
            name
            for line in self._all_lines()
            if line.passed >= PATIENCE and fits(line.demand, self.total) and not fits(line.demand, self.available)
            for name in line.demand
        }
        for job_id, lines in self._lines.items():
            for shape, line in lines.items():
                if fits(line.demand, self.available) and reserved.isdisjoint(line.demand):
                    return job_id, shape
        return None

    def _all_lines(self) -> list[_Line]:
        return [line for lines in self._lines.values() for line in lines.values()]

    def _drop_if_empty(self, job_id: bytes, shape: object) -> None:
        lines = self._lines[job_id]
        if not lines[shape].requests:
            del lines[shape]
            if not lines:
                del self._lines[job_id]

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
        return [request for line in self._all_lines() for request in line.requests]

    def validate(self) -> None:
        """Held and available add up to the total, but for the CPUs that blocked workers lent."""
        sums = dict(self.available)
        for lease_id, held in self._held.items():
            lent = {"CPU"} if lease_id in self._blocked else set()
            add(sums, {name: units for name, units in held.items() if name not in lent})
        assert {n: u for n, u in sums.items() if u} == {n: u for n, u in self.total.items() if u}, self
