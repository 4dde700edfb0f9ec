"""Which lease request gets this node's resources.

Floor: raylet, pure. Requests wait by job and, within a job, by shape (see `lines`): first come first served within a
shape, while jobs take turns, and the shapes of a job do, or go by priority where that differs. So a job that asks for
thousands does not starve one that asks for one, and a request that waits for a GPU, or for a worker in its runtime
environment, holds nobody up who needs a CPU. Amounts are fixed point (see common.resources).

There may be thousands of requests and of shapes. So nothing here walks over requests, and over lines (the requests of
one shape) only where some line may fit: each has a pivot, one amount that it needs, of which there are few.
"""

from __future__ import annotations

import itertools
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping

from ray._core.common.groups import MARK, in_bundle
from ray._core.common.resources import Resources, add, fits, missing, subtract
from ray._core.raylet.devices import DeviceTable
from ray._core.raylet.lines import JobLines, Kind, Line, Pivot, Waiting, is_cpu, uncount

_MARKS = f"{MARK}_group_"
PATIENCE = 8
"""Who waits is looked at once in so many grants, or in as many as there are shapes: one for which there was no room
twice in a row, and no grant between, has what it needs kept free for it."""
RESERVED_FOR = 8
"""Shapes for which room is kept at a time; the others' turn comes."""


class Scheduler:
    """Resources of one node, and who waits for them."""

    def __init__(self, total: Resources, devices: Mapping[str, list[str]] | None = None) -> None:
        self.devices = DeviceTable(devices or {})
        self.total = dict(total)
        self.available = dict(total)
        self.claimed: Resources = {}
        """Sum of what waits: what is available and claimed is as good as taken for whoever comes next."""
        self.bundles: dict[bytes, set[int]] = {}
        """Indexes of the bundles here, by placement group."""
        self._held: dict[object, Resources] = {}
        self._blocked: set[object] = set()
        self._in_bundle: dict[str, set[int]] = {}
        """Leases by the mark of the bundle that they are in."""
        self._jobs: OrderedDict[bytes, JobLines] = OrderedDict()
        self._pivots: Counter[Pivot] = Counter()
        """Of all lines."""
        self._starving: dict[Line, None] = {}
        self._grants = 0
        self._looks_at = PATIENCE
        """At which grant."""
        self._waiting: dict[object, Waiting] = {}
        self._of_group: dict[bytes, dict[object, Waiting]] = {}
        self.waiters: Counter[object] = Counter()
        """How many requests of each owner wait."""

    def __repr__(self) -> str:
        return f"<Scheduler held={len(self._held)} blocked={len(self._blocked)} waiting={len(self._waiting)}>"

    def missing(self, demand: Resources) -> Resources:
        """What this node lacks for `demand` even when it is idle; empty: feasible."""
        return missing(demand, self.total)

    def unclaimed(self) -> Resources:
        """What is left for one more request once all that wait are served; below zero when more is asked for."""
        left = dict(self.available)
        subtract(left, self.claimed)
        return left

    def unclaimed_of(self, names: Iterable[str]) -> Resources:
        """The same for these resources alone: a node with many placement groups has many."""
        available, claimed = self.available, self.claimed
        return {name: available.get(name, 0) - claimed.get(name, 0) for name in names}

    # ---------------------------------------------------------- waiting

    def enqueue(self, request: Waiting) -> None:
        self._waiting[request.key] = request
        job = self._jobs.get(request.job_id)
        if job is None:
            job = self._jobs[request.job_id] = JobLines()
        line = job.add(request)
        if line is not None:
            self._pivots[line.pivot] += 1
        if request.group_id:
            self._of_group.setdefault(request.group_id, {})[request.key] = request
        self.waiters[request.owner] += 1
        add(self.claimed, request.demand)

    def cancel(self, key: object) -> Waiting | None:
        """Forget a waiting request and return it. None: it does not wait."""
        request = self._waiting.get(key)
        if request is not None:
            self._remove(request)
        return request

    def get(self, key: object) -> Waiting | None:
        """The request of that key, if it waits."""
        return self._waiting.get(key)

    def waits(self, key: object) -> bool:
        return key in self._waiting

    def waiting(self) -> list[Waiting]:
        """All that wait, oldest first."""
        return list(self._waiting.values())

    def waiting_in(self, group_id: bytes) -> list[Waiting]:
        """Those that wait for a bundle of this placement group."""
        return list(self._of_group.get(group_id, {}).values())

    def demands(self) -> Iterator[tuple[bytes, Resources, int]]:
        """Job, demand and number of all that wait, by shape."""
        for line in self._all_lines():
            yield line.job_id, line.demand, len(line.requests)

    def infeasible(self) -> list[Waiting]:
        """Those that wait for what this node does not have any more (a bundle that has gone)."""
        lines = [line for line in self._all_lines() if not fits(line.demand, self.total)]
        return [request for line in lines for request in line.requests.values()]

    def fitting(self) -> Iterator[Waiting]:
        """Requests that fit now, one per job and shape, in the order in which they should be served."""
        pivots = self._open_pivots({})
        if not pivots:
            return
        reserved = self._reserved()
        for job in self._jobs.values():
            for line in job.in_order():
                if line.pivot in pivots and fits(line.demand, self.available) and _may_pass(line, reserved):
                    request = line.first
                    if self._concrete(request) is not None:
                        yield request

    def _open_pivots(self, taken: Resources) -> set[Pivot]:
        """The pivots of lines for which there may be room, besides what is `taken`."""
        available = self.available
        return {
            (name, units)
            for name, units in self._pivots
            if units <= 0 or available.get(name, 0) - taken.get(name, 0) >= units
        }

    def _reserved(self) -> dict[str, list[Line]]:
        """Names of resources that are kept free, and those who have waited for them too long."""
        names: dict[str, list[Line]] = {}
        count = 0
        for line in self._starving:
            if fits(line.demand, self.total) and not fits(line.demand, self.available):
                for name in line.demand:
                    names.setdefault(name, []).append(line)
                count += 1
                if count == RESERVED_FOR:
                    break
        return names

    def _concrete(self, request: Waiting) -> Resources | None:
        """What exactly a request takes: of any bundle, that of the first with room; None when none has."""
        if not request.any_bundle_of:
            return request.demand
        for index in sorted(self.bundles.get(request.any_bundle_of, ())):
            demand = in_bundle(request.demand, request.any_bundle_of, index)
            if fits(demand, self.available):
                return demand
        return None

    def servable(self, limit: int) -> dict[Kind, int]:
        """How many of those who wait could be served now together, up to `limit` in all, by the kind of worker.

        Costs by shape, not by request.
        """
        available, taken, count, kinds = self.available, Resources(), 0, dict[Kind, int]()
        pivots = self._open_pivots(taken)
        for line in itertools.chain.from_iterable(job.in_order() for job in self._jobs.values()):
            if count >= limit or not pivots:
                break
            if line.pivot not in pivots:
                continue
            demand = line.demand.items()
            rooms = ((available.get(name, 0) - taken.get(name, 0)) // units for name, units in demand if units > 0)
            number = min([len(line.requests), limit - count, *rooms])
            if number > 0:
                count += number
                kind = line.first.kind
                kinds[kind] = kinds.get(kind, 0) + number
                add(taken, {name: units * number for name, units in demand})
                pivots = self._open_pivots(taken)
        return kinds

    # ---------------------------------------------------------- holding

    def grant(self, request: Waiting, lease_id: int) -> dict[str, list[str]]:
        """Take the resources of a request that `fitting` named, under `lease_id`; its job goes last then.

        Returns: the names of the accelerator devices, by kind.
        """
        self._grants += 1
        if self._grants >= self._looks_at:
            self._look_who_starves()
        line = self._jobs[request.job_id].granted(request)
        line.is_passed = False
        self._starving.pop(line, None)
        self._jobs.move_to_end(request.job_id)
        self._remove(request)
        demand = self._concrete(request)
        assert demand is not None
        subtract(self.available, demand)
        self._held[lease_id] = demand
        for name in demand:
            if name.startswith(_MARKS):
                self._in_bundle.setdefault(name, set()).add(lease_id)
        return self.devices.take(lease_id, demand)

    def _look_who_starves(self) -> None:
        lines = self._all_lines()
        self._looks_at = self._grants + max(PATIENCE, len(lines))
        for line in lines:
            if not fits(line.demand, self.available):
                if line.is_passed:
                    self._starving[line] = None
                line.is_passed = True

    def try_take(self, lease_id: object, demand: Resources) -> bool:
        """Take `demand` at once, past those who wait (an actor which the GCS has placed here); False: no room."""
        if not fits(demand, self.available):
            return False
        subtract(self.available, demand)
        self._held[lease_id] = dict(demand)
        return True

    def release(self, lease_id: object) -> None:
        """The lease is over; an unknown one (returned twice) changes nothing."""
        held = self._held.pop(lease_id, None)
        if held is None:
            return
        self.devices.give_back(lease_id)
        for name in held:
            leases = self._in_bundle.get(name)
            if leases is not None:
                leases.discard(lease_id)
                if not leases:
                    del self._in_bundle[name]
        if lease_id in self._blocked:
            self._blocked.discard(lease_id)
            held = {name: units for name, units in held.items() if not is_cpu(name)}
        add(self.available, held)

    def held(self) -> list[tuple[object, Resources]]:
        """All leases, and what they hold."""
        return list(self._held.items())

    def lends(self, lease_id: object) -> bool:
        """Whether its worker waits, and has lent its CPU."""
        return lease_id in self._blocked

    def set_blocked(self, lease_id: int, blocked: bool) -> None:
        """A worker waits in get and lends its CPU, or goes on and takes it back, even below zero."""
        if lease_id not in self._held or (lease_id in self._blocked) == blocked:
            return
        cpu = {name: units for name, units in self._held[lease_id].items() if is_cpu(name)}
        if blocked:
            self._blocked.add(lease_id)
            add(self.available, cpu)
        else:
            self._blocked.discard(lease_id)
            subtract(self.available, cpu)

    # ---------------------------------------------------------- bundles of placement groups

    def add_bundle(self, group_id: bytes, index: int, gained: Resources) -> None:
        """The node has a bundle from now on (see common.groups)."""
        self.bundles.setdefault(group_id, set()).add(index)
        add(self.total, gained)
        add(self.available, gained)

    def remove_bundle(self, group_id: bytes, index: int, lost: Resources) -> None:
        """The bundle goes; what is held of it must have been released. Names at zero disappear."""
        indexes = self.bundles[group_id]
        indexes.discard(index)
        if not indexes:
            del self.bundles[group_id]
        for amounts in (self.total, self.available):
            subtract(amounts, lost)
            for name in lost:
                if not amounts.get(name):
                    amounts.pop(name, None)

    def leases_holding(self, mark: str) -> list[int]:
        """Leases in the bundle of this mark."""
        return sorted(self._in_bundle.get(mark, ()))

    def validate(self) -> None:
        """Held and available add up to the total, but for the CPUs that blocked workers lent."""
        sums = dict(self.available)
        for lease_id, held in self._held.items():
            lent = lease_id in self._blocked
            add(sums, {name: units for name, units in held.items() if not (lent and is_cpu(name))})
        assert {n: u for n, u in sums.items() if u} == {n: u for n, u in self.total.items() if u}, self
        claims: Resources = {}
        for request in self.waiting():
            add(claims, request.demand)
        assert {n: u for n, u in claims.items() if u} == {n: u for n, u in self.claimed.items() if u}, self
        lines = self._all_lines()
        assert sum(len(line.requests) for line in lines) == len(self._waiting) == self.waiters.total(), self
        assert self._pivots == Counter(line.pivot for line in lines), self
        assert set(self._starving) <= set(lines), self
        grouped = {request.key for request in self.waiting() if request.group_id}
        assert grouped == {key for requests in self._of_group.values() for key in requests}, self

    # ---------------------------------------------------------- inside

    def _all_lines(self) -> list[Line]:
        return [line for job in self._jobs.values() for line in job]

    def _remove(self, request: Waiting) -> None:
        del self._waiting[request.key]
        subtract(self.claimed, request.demand)
        uncount(self.waiters, request.owner)
        if request.group_id:
            requests = self._of_group[request.group_id]
            del requests[request.key]
            if not requests:
                del self._of_group[request.group_id]
        job = self._jobs[request.job_id]
        line = job.remove(request)
        if line is not None:
            uncount(self._pivots, line.pivot)
            self._starving.pop(line, None)
            if not job:
                del self._jobs[request.job_id]


def _may_pass(line: Line, reserved: dict[str, list[Line]]) -> bool:
    """Whether what is kept free for others may go to `line`, which takes nothing of it or goes before them."""
    if not reserved:
        return True
    return all(line.goes_before(other) for name in line.demand for other in reserved.get(name, ()))
