"""What really happens in the simulated cluster, seen from outside of it: the judge of what the product believes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.worker.invocation import Call
from simulation.loop import Process

if TYPE_CHECKING:
    from simulation.cluster import Cluster
    from simulation.core import SimCore


@dataclasses.dataclass(slots=True, eq=False)
class Use:
    """What a worker process uses of its node while it runs a task, or for as long as it is an actor."""

    process: Process
    needs: dict[str, int]
    is_blocked: bool = False


@dataclasses.dataclass(slots=True, eq=False)
class Life:
    """One incarnation of an actor in one process."""

    actor_id: bytes
    incarnation: int
    process: Process
    is_constructed: bool = False


class Ledger:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._uses: dict[str, dict[int, Use]] = {}
        """By host and pid."""
        self.lives: dict[bytes, list[Life]] = {}
        """Of actors, those whose process lives."""
        self._resumed: set[int] = set()
        """Pids of workers whose lease was blocked once: they go on even beyond what the node has."""
        self.runs: dict[bytes, int] = {}
        """How often each task was started."""
        self.constructions: dict[tuple[bytes, int], int] = {}
        self.tasks_run = 0

    def violated(self, text: str) -> None:
        """Told to the loop: an exception would count as one of the simulated user's."""
        self._cluster.loop.problems.append(text)

    # ---------------------------------------------------------- tasks and what they use

    def task_starts(self, core: SimCore, call: Call, plan: dict[str, Any]) -> None:
        self.tasks_run += 1
        runs = self.runs[call.task_id] = self.runs.get(call.task_id, 0) + 1
        if "runs" in plan and runs > plan["runs"]:
            self.violated(f"Task {call.task_id.hex()} was started {runs} times; {plan['runs']} are allowed.")
        if not call.template.method:
            self._uses_now(core.process, plan.get("needs", {}))

    def task_ends(self, core: SimCore, call: Call) -> None:
        if not call.template.method:
            self._uses.get(core.process.host.name, {}).pop(core.process.pid, None)

    def blocked(self, core: SimCore, blocked: bool) -> None:
        use = self._uses.get(core.process.host.name, {}).get(core.process.pid)
        if use is not None:
            use.is_blocked = blocked
        if not blocked:
            self._resumed.add(core.process.pid)

    def leased(self, core: SimCore) -> None:
        """The worker runs for a new lease from now on."""
        self._resumed.discard(core.process.pid)

    def _uses_now(self, process: Process, needs: dict[str, int]) -> None:
        host = process.host.name
        uses = self._uses.setdefault(host, {})
        uses[process.pid] = Use(process, needs)
        process.on_exit.append(lambda _: uses.pop(process.pid, None))
        total = self._cluster.totals[host]
        for name in needs:
            used = sum(
                use.needs.get(name, 0) for pid, use in uses.items() if not (use.is_blocked or pid in self._resumed)
            )
            if used > total.get(name, 0):
                who = ", ".join(use.process.name for use in uses.values())
                self.violated(f"{host} has {total.get(name, 0)} of {name}, but {who} use {used}.")

    # ---------------------------------------------------------- actors

    def constructing(self, core: SimCore, message: m.ConstructActor) -> None:
        spec, process = message.spec, core.process
        key = spec.actor_id, message.incarnation
        times = self.constructions[key] = self.constructions.get(key, 0) + 1
        lives = self.lives.setdefault(spec.actor_id, [])
        for other in lives:
            if not (self._may_overlap(other.process) or self._may_overlap(process)):
                self.violated(
                    f"Actor {spec.actor_id.hex()} is constructed in {process.name} (incarnation {message.incarnation}) "
                    f"while {other.process.name} still is its incarnation {other.incarnation}."
                )
        if times > 1 and not self._cluster.has_forgotten(spec.actor_id):
            self.violated(f"Incarnation {key[1]} of actor {spec.actor_id.hex()} was constructed {times} times.")
        life = Life(spec.actor_id, message.incarnation, process)
        lives.append(life)
        process.on_exit.append(lambda _: lives.remove(life))
        self._uses_now(process, spec.held)

    def _may_overlap(self, process: Process) -> bool:
        """Its node counts as dead, or its raylet is: what runs there is on its way out."""
        return not self._cluster.is_in_order(process.host)

    def constructed(self, core: SimCore, message: m.ConstructActor) -> None:
        for life in self.lives[message.spec.actor_id]:
            if life.process is core.process:
                life.is_constructed = True
