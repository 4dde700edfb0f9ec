"""Whom to end when the machine's memory runs out.

Floor: raylet, pure.
Source: Ray docs, "Out-Of-Memory Prevention": work that can be retried goes before work that cannot; of its groups (the
tasks of one owner, each actor for itself) the largest; in that the one that started last, which loses least.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A worker at work. `group`: whose tasks they are; each actor is a group of its own."""

    worker_id: bytes
    group: object
    is_retriable: bool
    started_at_s: float


def choose_victim(candidates: Sequence[Candidate]) -> Candidate | None:
    """The worker to end; None when nobody works."""
    if not candidates:
        return None
    retriable = [each for each in candidates if each.is_retriable]
    eligible = retriable or list(candidates)
    sizes = Counter(each.group for each in eligible)
    newest = {group: max(each.started_at_s for each in eligible if each.group == group) for group in sizes}
    group = max(sizes, key=lambda each: (sizes[each], newest[each]))
    return max((each for each in eligible if each.group == group), key=lambda each: each.started_at_s)


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """Bytes of memory in use, and how many there are: of the machine, or of the control group if that is tighter."""

    used: int
    total: int

    @property
    def share(self) -> float:
        return self.used / self.total if self.total else 0.0


def usage_of(meminfo: str, cgroup_max: str = "", cgroup_current: str = "", cgroup_stat: str = "") -> Usage:
    """From the texts of /proc/meminfo and of a cgroup v2's memory.max, memory.current and memory.stat ("": none).

    Source: the kernel's Documentation/admin-guide/cgroup-v2.rst; inactive file pages are given back at once.
    """
    fields = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in meminfo.splitlines() if line.split()[1:]}
    machine = Usage(fields["MemTotal"] - fields["MemAvailable"], fields["MemTotal"])
    if not cgroup_max.strip().isdigit() or not cgroup_current.strip().isdigit():
        return machine
    stat = dict(line.split() for line in cgroup_stat.splitlines() if len(line.split()) == 2)
    group = Usage(max(int(cgroup_current) - int(stat.get("inactive_file", 0)), 0), int(cgroup_max))
    return max(machine, group, key=lambda each: each.share)
