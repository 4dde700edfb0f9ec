"""Lease requests that wait: those of a job, in lines of which each has one shape, and whose turn it is.

Floor: raylet, pure. Driven by `scheduler`, which knows what there is room for.

Lines of a job take turns. Where its requests differ in priority, the higher go first, and the others come nearer to the
front while they wait: a level of priority counts as much as having come `LEVEL_GRANTS` grants earlier. So a request
is passed by a bounded number of others, whatever comes after it, and its place among them never changes: nothing
has to be sorted anew because time passes. It is counted in grants, not in seconds, since only a grant that somebody
else gets is a disadvantage; a job whose tasks take an hour has its order as well as one whose take a millisecond.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from ray._core.common.resources import Resources

Shape = tuple[tuple[tuple[str, int], ...], str, int]
"""Demand, environment and priority."""
Kind = tuple[bytes, str]
"""Job and runtime environment of a worker; any job may have one that is in no environment: (b"", "")."""
Pivot = tuple[str, int]
LEVEL_GRANTS = 100
"""So many of those that come later may pass a request, for each level by which their priority is higher."""


@dataclasses.dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits. `key` is the caller's name for it, `request` whatever the caller wants back with it.

    `any_bundle_of`: it takes any bundle of this placement group; which one is chosen when it is granted.
    `group_id`: of the placement group that it runs in. `owner`: whoever asks, to tell who waits (see `waiters`).
    `priority`: among the requests of its job, higher first.
    """

    key: object
    job_id: bytes
    demand: Resources
    request: Any = None
    runtime_env: str = ""
    any_bundle_of: bytes = b""
    group_id: bytes = b""
    owner: object = None
    priority: int = 0
    since_s: float = 0.0
    """When it came here."""

    @property
    def shape(self) -> Shape:
        return tuple(sorted(self.demand.items())), self.runtime_env, self.priority

    @property
    def kind(self) -> Kind:
        """Of the worker that it takes to serve it."""
        return (self.job_id, self.runtime_env) if self.runtime_env else (b"", "")


class Line:
    """Requests of one job and one shape, first come first served."""

    def __init__(self, first: Waiting) -> None:
        self.job_id = first.job_id
        self.demand = first.demand
        self.priority = first.priority
        self.pivot = pivot_of(first.demand)
        self.requests: OrderedDict[object, Waiting] = OrderedDict()
        self._came: dict[object, int] = {}
        """After how many grants to its job each request has come."""
        self.is_passed = False
        """There was no room for it when it was last looked at, and nothing of it was granted since."""

    def __repr__(self) -> str:
        return f"<Line {self.demand} priority={self.priority} requests={len(self.requests)}>"

    def add(self, request: Waiting, grants: int) -> None:
        self.requests[request.key] = request
        self._came[request.key] = grants

    def remove(self, key: object) -> None:
        del self.requests[key], self._came[key]

    @property
    def first(self) -> Waiting:
        return next(iter(self.requests.values()))

    @property
    def place(self) -> int:
        """Where its first request stands: the lower, the sooner is its turn."""
        return self._came[self.first.key] - LEVEL_GRANTS * self.priority

    def goes_before(self, other: Line) -> bool:
        """Whether its priority puts it before another line of its job, although that has waited for long."""
        return self.job_id == other.job_id and self.priority > other.priority and self.place < other.place


class JobLines:
    """All lines of one job."""

    def __init__(self) -> None:
        self._lines: OrderedDict[Shape, Line] = OrderedDict()
        self._grants = 0
        self._levels: Counter[int] = Counter()
        """Lines by priority."""

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines.values())

    def add(self, request: Waiting) -> Line | None:
        """Returns: its line if that is a new one."""
        shape = request.shape
        line, new = self._lines.get(shape), None
        if line is None:
            line = new = self._lines[shape] = Line(request)
            self._levels[line.priority] += 1
        line.add(request, self._grants)
        return new

    def remove(self, request: Waiting) -> Line | None:
        """Returns: its line if that has ended with it."""
        shape = request.shape
        line = self._lines[shape]
        line.remove(request.key)
        if line.requests:
            return None
        del self._lines[shape]
        uncount(self._levels, line.priority)
        return line

    def granted(self, request: Waiting) -> Line:
        """A request of the line is served: its line goes last."""
        self._grants += 1
        shape = request.shape
        self._lines.move_to_end(shape)
        return self._lines[shape]

    def in_order(self) -> Iterable[Line]:
        """Whose turn it is, first to last."""
        if len(self._levels) < 2:
            return self._lines.values()
        return sorted(self._lines.values(), key=lambda line: line.place)


def pivot_of(demand: Resources) -> Pivot:
    """The amount by which is seen that there is no room: most often that of CPUs."""
    names = sorted(demand, key=lambda name: (not is_cpu(name), name))
    return (names[0], demand[names[0]]) if names else ("", 0)


def uncount(counts: Counter[Any], key: object) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]


def is_cpu(name: str) -> bool:
    """A CPU of the node, or of a placement group's bundle."""
    return name == "CPU" or name.startswith("CPU_group_")
