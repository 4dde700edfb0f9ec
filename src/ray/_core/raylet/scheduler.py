"""Which lease request gets this node's resources.

Floor: raylet, pure. Requests wait by job and, within a job, by shape (demand and environment): first come first served
within a shape, while jobs take turns, and the shapes of a job do. So a job that asks for thousands does not starve one
that asks for one, and a request that waits for a GPU, or for a worker in its runtime environment, holds nobody up who
needs a CPU. Amounts are fixed point (see common.resources).
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from ray._core.common.groups import MARK, in_bundle
from ray._core.common.resources import Resources, add, fits, missing, subtract
from ray._core.raylet.devices import DeviceTable

Shape = tuple[tuple[tuple[str, int], ...], str]
Kind = tuple[bytes, str]
"""Job and runtime environment of a worker; any job may have one that is in no environment: (b"", "")."""
_MARKS = f"{MARK}_group_"
PATIENCE = 32
"""A shape that was passed over this often while smaller ones were served has what it needs kept free for it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits. `key` is the caller's name for it, `request` whatever the caller wants back with it.

    `any_bundle_of`: it takes any bundle of this placement group; which one is chosen when it is granted.
    """

    key: object
    job_id: bytes
    demand: Resources
    request: Any = None
    runtime_env: str = ""
    any_bundle_of: bytes = b""

    @property
    def shape(self) -> Shape:
        return tuple(sorted(self.demand.items())), self.runtime_env

    @property
    def kind(self) -> Kind:
        """Of the worker that it takes to serve it."""
        return (self.job_id, self.runtime_env) if self.runtime_env else (b"", "")


@dataclasses.dataclass(slots=True)
class _Line:
    """Requests of one job and one shape. `passed`: how often others were served while the first of it could not be."""

    demand: Resources
    requests: OrderedDict[object, Waiting] = dataclasses.field(default_factory=OrderedDict)
    passed: int = 0


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
        self._lines: OrderedDict[bytes, OrderedDict[Shape, _Line]] = OrderedDict()
        self._waiting: dict[object, Waiting] = {}

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

    # ---------------------------------------------------------- waiting

    def enqueue(self, request: Waiting) -> None:
        self._waiting[request.key] = request
        lines = self._lines.setdefault(request.job_id, OrderedDict())
        line = lines.setdefault(request.shape, _Line(request.demand))
        line.requests[request.key] = request
        add(self.claimed, request.demand)

    def cancel(self, key: object) -> Waiting | None:
        """Forget a waiting request and return it. None: it does not wait."""
        request = self._waiting.get(key)
        if request is not None:
            self._remove(request)
        return request

    def waiting(self) -> list[Waiting]:
        """All that wait, oldest first."""
        return list(self._waiting.values())

    def fitting(self) -> Iterator[Waiting]:
        """Requests that fit now, one per job and shape, in the order in which they should be served."""
        reserved = {
            name
            for line in self._all_lines()
            if line.passed >= PATIENCE and fits(line.demand, self.total) and not fits(line.demand, self.available)
            for name in line.demand
        }
        for line in self._all_lines():
            if fits(line.demand, self.available) and reserved.isdisjoint(line.demand):
                request = next(iter(line.requests.values()))
                if self._concrete(request) is not None:
                    yield request

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
        left, count, kinds = dict(self.available), 0, dict[Kind, int]()
        for line in self._all_lines():
            rooms = (left.get(name, 0) // units for name, units in line.demand.items() if units > 0)
            number = min([len(line.requests), limit - count, *rooms])
            if number > 0:
                count += number
                kind = next(iter(line.requests.values())).kind
                kinds[kind] = kinds.get(kind, 0) + number
                subtract(left, {name: units * number for name, units in line.demand.items()})
        return kinds

    # ---------------------------------------------------------- holding

    def grant(self, request: Waiting, lease_id: int) -> dict[str, list[str]]:
        """Take the resources of a request that `fitting` named, under `lease_id`; its job goes last then.

        Returns: the names of the accelerator devices, by kind.
        """
        lines, shape = self._lines[request.job_id], request.shape
        for line in self._all_lines():
            if not fits(line.demand, self.available):
                line.passed += 1
        lines[shape].passed = 0
        lines.move_to_end(shape)
        self._lines.move_to_end(request.job_id)
        self._remove(request)
        demand = self._concrete(request)
        assert demand is not None
        subtract(self.available, demand)
        self._held[lease_id] = demand
        for name in demand:
            if name.startswith(_MARKS):
                self._in_bundle.setdefault(name, set()).add(lease_id)
        return self.devices.take(lease_id, demand)

    def next_grant(self, lease_id: int) -> Waiting | None:
        """Grant the first request that fits; None when none does."""
        request = next(self.fitting(), None)
        if request is not None:
            self.grant(request, lease_id)
        return request

    def try_take(self, lease_id: object, demand: Resources) -> bool:
        """Take `demand` at once, past those who wait (an actor which the GCS has placed here); False: no room."""
        if not fits(demand, self.available):
            return False
        subtract(self.available, demand)
        self._held[lease_id] = dict(demand)
        return True

    def keep_only(self, lease_id: object, held: Resources) -> None:
        """A lease needs no more than `held` from now on (an actor once it is created)."""
        was = self._held[lease_id]
        add(self.available, was)
        subtract(self.available, held)
        self._held[lease_id] = dict(held)

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
            held = {name: units for name, units in held.items() if not _is_cpu(name)}
        add(self.available, held)

    def held_by(self, lease_id: object) -> Resources:
        return self._held.get(lease_id, {})

    def set_blocked(self, lease_id: int, blocked: bool) -> None:
        """A worker waits in get and lends its CPU, or goes on and takes it back, even below zero."""
        if lease_id not in self._held or (lease_id in self._blocked) == blocked:
            return
        cpu = {name: units for name, units in self._held[lease_id].items() if _is_cpu(name)}
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
            add(sums, {name: units for name, units in held.items() if not (lent and _is_cpu(name))})
        assert {n: u for n, u in sums.items() if u} == {n: u for n, u in self.total.items() if u}, self
        claims: Resources = {}
        for request in self.waiting():
            add(claims, request.demand)
        assert {n: u for n, u in claims.items() if u} == {n: u for n, u in self.claimed.items() if u}, self
        queued = sum(len(line.requests) for line in self._all_lines())
        assert queued == len(self._waiting), self

    # ---------------------------------------------------------- inside

    def _all_lines(self) -> list[_Line]:
        return [line for lines in self._lines.values() for line in lines.values()]

    def _remove(self, request: Waiting) -> None:
        del self._waiting[request.key]
        subtract(self.claimed, request.demand)
        lines, shape = self._lines[request.job_id], request.shape
        del lines[shape].requests[request.key]
        if not lines[shape].requests:
            del lines[shape]
            if not lines:
                del self._lines[request.job_id]


def _is_cpu(name: str) -> bool:
    """A CPU of the node, or of a placement group's bundle."""
    return name == "CPU" or name.startswith("CPU_group_")
