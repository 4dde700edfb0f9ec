"""One seed: a cluster, what drivers do on it, what goes wrong meanwhile, and whether all of it ends as it must."""

from __future__ import annotations

import logging
from typing import Any

from simulation import invariants
from simulation.cluster import Cluster, Node
from simulation.core import SimCore
from simulation.faults import GENTLE, Faults
from simulation.loop import Process, SimLoop, Violation
from simulation.network import Host
from simulation.patches import real_modules_on_virtual_time
from simulation.program import Program

FINISH_S = 150.0
"""So long after the last fault every program must have come to its end."""
QUIET_S = 40.0
"""And after that the cluster must have nothing left of them: longer than an actor may take to end when asked."""


class _Watch(logging.Handler):
    """An exception that the product logs, and goes on, is one of ours to mend."""

    def __init__(self, loop: SimLoop) -> None:
        super().__init__(logging.DEBUG)
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        who = self._loop.current.name if self._loop.current else "-"
        if self._loop.story is not None:
            self._loop.story.append(f"{self._loop.now_s:12.6f} {who} logs: {record.getMessage()[:300]}")
        if record.exc_info or record.levelno >= logging.CRITICAL:
            self._loop.problems.append(f"{who} logs: {logging.Formatter().format(record)}")


class Scenario:
    def __init__(self, seed: int, story: list[str] | None = None) -> None:
        self.seed = seed
        self.loop = SimLoop(seed, story)
        rng = self.loop.random_for("scenario")
        self.cluster = Cluster(self.loop)
        hosts = [self.cluster.head, *(self.cluster.network.add_host(f"host{n}") for n in range(1, rng.randint(1, 4)))]
        self._resources = {host.name: self._draw_resources(host) for host in hosts}
        self.cluster.head.disk_s = rng.choice([0.004, 0.004, 0.05, 0.3])
        self.programs: dict[str, Program] = {}
        self._processes: dict[str, Process] = {}
        self._rng = rng
        self.is_rough = rng.random() < 0.85
        """Something goes wrong."""
        self.has_crashes = self.is_rough or rng.random() < 0.5
        """Tasks may take their worker with them, and what it owns."""
        self.ends_workers = False
        """A group is removed in which tasks ran, and with it their workers, and what those own of tasks before."""
        self.faults = Faults(self, self.loop.random_for("faults"), rng.randint(1, 12) if self.is_rough else 0)
        self.keys: dict[bytes, bytes] = {}
        self.deleted_keys: set[bytes] = set()
        self.detached: dict[str, tuple[bytes, bool]] = {}
        """Actors that outlive their job, by name: the id, and whether nothing can end them."""
        self._is_active = True
        self.doomed: dict[str, str] = {}
        """Drivers that will not come to their end, and why."""
        if self.is_rough and rng.random() < 0.3:
            self._skew_clocks()

    def _draw_resources(self, host: Host) -> dict[str, float]:
        rng = self.loop.random_for(f"resources of {host.name}")
        resources = {"CPU": float(rng.randint(1, 4)), "spare": 1000.0}
        if host is self.cluster.head:
            resources["tool"] = 2.0
        return resources

    def has(self, name: str, units: int) -> bool:
        """Whether some node has so much of it."""
        return any(resources.get(name, 0) * 10_000 >= units for resources in self._resources.values())

    @property
    def may_lose(self) -> bool:
        """Whether what a worker owns may be lost with it."""
        return self.has_crashes or self.ends_workers

    @property
    def most_cpus(self) -> int:
        return int(max(resources["CPU"] for resources in self._resources.values()))

    @property
    def all_cpus(self) -> int:
        return int(sum(resources["CPU"] for resources in self._resources.values()))

    def _skew_clocks(self) -> None:
        rng, start = self.loop.random_for("clocks"), self.loop.start_process

        def skewed(name: str, host: Host, main: Any) -> Process:
            process = start(name, host, main)
            process.clock_rate = 1 + (rng.random() - 0.5) * 0.002
            process.clock_offset_s = rng.random() * 1000
            return process

        self.loop.start_process = skewed  # type: ignore[method-assign]

    # ---------------------------------------------------------- who starts what again

    def start_gcs(self) -> None:
        self.cluster.start_gcs()
        self.cluster.gcs_process.on_exit.append(lambda _: self._later(3.0, self.start_gcs))

    def start_node(self, host: Host) -> None:
        node = self.cluster.start_node(host, self._resources[host.name])
        node.process.on_exit.append(lambda _: self._later(1.0, self._start_again, node))

    def _start_again(self, node: Node) -> None:
        if node.host.is_up and self.cluster.nodes[node.host.name] is node:
            self.start_node(node.host)

    def _later(self, most_s: float, action: Any, *args: Any) -> None:
        self.loop.after(0.05 + self._rng.random() ** 2 * most_s, self._if_active, action, args)

    def _if_active(self, action: Any, args: Any) -> None:
        if self._is_active:
            action(*args)

    def start_driver(self, name: str, host: Host) -> None:
        node = self.cluster.nodes[host.name]
        if not node.is_ready or not node.process.is_alive:
            self.loop.after(0.1, self.start_driver, name, host)  # `ray.init` would fail; people try again
            return
        program = self.programs[name] = self.programs.get(name) or Program(self, name, self.loop.random_for(name))
        process = self.cluster.start_driver(name, node, program.run)
        self._processes[name] = process

    # ---------------------------------------------------------- the course of it

    def run(self) -> None:
        """Raises Violation."""
        logger = logging.getLogger("ray")
        watch, level, propagates = _Watch(self.loop), logger.level, logger.propagate
        logger.addHandler(watch)
        logger.propagate = False
        if self.loop.story is not None:
            logger.setLevel(logging.INFO)
        try:
            with real_modules_on_virtual_time(self.loop):
                self._run()
        finally:
            logger.removeHandler(watch)
            logger.setLevel(level)
            logger.propagate = propagates
            self.loop.bury()

    def _run(self) -> None:
        loop, rng = self.loop, self._rng
        loop.after_each = invariants.Watcher(self).after
        self.start_gcs()
        for host in list(self.cluster.network.hosts.values()):
            self.start_node(host)
        names = [f"driver{number}" for number in range(rng.randint(1, 2))]
        for name in names:
            host = rng.choice(list(self.cluster.network.hosts.values()))
            loop.after(rng.random() * 0.5, self.start_driver, name, host)
        loop.after(0.5, self._look)
        loop.run(max([at_s for at_s, _ in self.faults.plan], default=0.0) + 0.1)
        loop.run(loop.now_s + 60.0, lambda: self.faults.open == 0)
        if not loop.run(loop.now_s + FINISH_S, lambda: all(self._has_ended(name) for name in names)):
            raise Violation(f"Not ended {FINISH_S} s after the last fault: {self._why_not(names)}")
        self._clean_up()

    def _has_ended(self, name: str) -> bool:
        program = self.programs.get(name)
        return name in self.doomed or (program is not None and program.is_over)

    def _why_not(self, names: list[str]) -> str:
        return "; ".join(
            f"{self.programs.get(name)} {[c for c in self.cluster.drivers if c.process is self._processes.get(name)]}"
            for name in names
            if not self._has_ended(name)
        )

    def _look(self) -> None:
        """Drivers that have lost their cluster end, as their programs would."""
        if not self._is_active:
            return
        for core in self.cluster.drivers:
            name = core.process.name
            if name in self.doomed or name not in self.programs or self.programs[name].is_over:
                continue
            why = self.lost(core)
            if why:
                self.doomed[name] = why
                self.loop.tell(f"{name} is lost: {why}")
                self.loop.kill(core.process, 1 << 8)
                if not self.faults.kinds - GENTLE:
                    raise Violation(f"{name} is lost without need: {why}")
        for name, process in self._processes.items():
            if not process.is_alive and not self._has_ended(name):
                self.doomed[name] = "it was killed"
        self.loop.after(0.25, self._look)

    def lost(self, core: SimCore) -> str:
        """Why its program cannot come to its end; "" if it can."""
        if not core.process.is_alive:
            return "it was killed"
        if core.raylet.is_closed:
            return "its raylet has ended"
        if core.gcs._is_closed:
            return "the GCS has given its job up"
        if not self.cluster.gcs_process.is_alive or not hasattr(self.cluster, "gcs"):
            return ""
        job = self.cluster.gcs.jobs.jobs.get(core.job_id)
        return "its job counts as ended" if job is not None and job.is_dead else ""

    # ---------------------------------------------------------- after all is done

    def _clean_up(self) -> None:
        loop, cluster = self.loop, self.cluster
        loop.tell("all programs have ended")
        if not loop.run(loop.now_s + 90.0, self._is_whole):
            raise Violation("The cluster does not become whole again.")
        done: list[bool] = []

        async def end(core: SimCore) -> None:
            await invariants.check_kept(self, core)
            done.append(True)
            loop.kill(core.process, 0)

        cluster.start_driver("cleaner", cluster.nodes["head"], end)
        if not loop.run(loop.now_s + 60.0, lambda: bool(done)):
            raise Violation("The driver that cleans up does not come to its end.")
        quiet_by_s = loop.now_s + QUIET_S
        while (left := invariants.left_over(self)) and loop.now_s < quiet_by_s:
            loop.run(loop.now_s + 2.0)
        if left:
            raise Violation("Left when all is over:\n" + "\n".join(left))
        before = invariants.picture(self)
        loop.kill(cluster.gcs_process)
        loop.run(loop.now_s + 5.0)
        loop.run(loop.now_s + 10.0, lambda: invariants.picture(self) == before)
        if (after := invariants.picture(self)) != before:
            raise Violation(f"After a restart of the GCS it knows\n{after}\ninstead of\n{before}")
        self._is_active = False

    def _is_whole(self) -> bool:
        """All nodes are there, and the GCS knows it."""
        cluster = self.cluster
        if not cluster.gcs_process.is_alive or cluster.gcs.actors.holds_placing:
            return False
        for node in cluster.nodes.values():
            info = cluster.gcs.nodes.table.info(node.node_id)
            if not node.process.is_alive or not node.is_ready or info is None or info.state != "ALIVE":
                return False
        return True


def run_seed(seed: int, story: list[str] | None = None) -> tuple[str, Scenario]:
    """Run one; returns the hash of its history. Raises Violation."""
    scenario = Scenario(seed, story)
    scenario.run()
    return scenario.loop.history_hash, scenario
