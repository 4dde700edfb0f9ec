"""What goes wrong in a simulation: drawn from the seed, done at its time, and all over before the end is judged."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from simulation.loop import Process
from simulation.network import Host, Transport

if TYPE_CHECKING:
    from simulation.scenario import Scenario

LENGTH_S = 6.0
"""Faults begin within this time."""
GENTLE = {"kill_worker", "kill_gcs", "slow", "fork_failures", "disk_full", "delay", "cut"}
"""A driver must survive these."""


class Faults:
    def __init__(self, scenario: Scenario, rng: Random, count: int) -> None:
        self._scenario, self._rng = scenario, rng
        self._loop, self._cluster = scenario.loop, scenario.cluster
        kinds: dict[str, Callable[[], None]] = {
            "kill_worker": self._kill_worker,
            "kill_gcs": self._kill_gcs,
            "kill_raylet": self._kill_raylet,
            "kill_driver": self._kill_driver,
            "stop": self._stop,
            "slow": self._slow,
            "cut": self._cut,
            "partition": self._partition,
            "one_way": self._one_way,
            "delay": self._delay,
            "power": self._power,
            "drain": self._drain,
            "disk_full": self._disk_full,
            "fork_failures": self._fork_failures,
        }
        names = rng.sample(sorted(kinds), k=rng.randint(1, 4))
        self.plan = sorted((0.05 + rng.random() * LENGTH_S, rng.choice(names)) for _ in range(count))
        self.kinds = {name for _, name in self.plan}
        self.open = 0
        """Faults that last and are not over."""
        for at_s, name in self.plan:
            self._loop.at(at_s, self._begin, name, kinds[name])

    def _begin(self, name: str, act: Callable[[], None]) -> None:
        self._loop.tell(f"FAULT {name}")
        act()

    def _for_a_while(self, most_s: float, end: Callable[[], None]) -> None:
        self.open += 1

        def over() -> None:
            self.open -= 1
            self._loop.tell(f"FAULT is over: {end.__qualname__}")
            end()

        self._loop.after(0.02 + self._rng.random() ** 2 * most_s, over)

    # ---------------------------------------------------------- ends of processes

    def _pick(self, *prefixes: str) -> Process | None:
        found = [process for process in self._loop.processes.values() if process.name.startswith(prefixes)]
        return self._rng.choice(found) if found else None

    def _kill_worker(self) -> None:
        """Rather one that is at work."""
        busy = [
            process
            for process in self._loop.processes.values()
            if process.core is not None and process.core.executor is not None and process.core.executor.running
        ]
        worker = self._rng.choice(busy) if busy and self._rng.random() < 0.8 else self._pick("worker")
        if worker is not None:
            self._loop.kill(worker)

    def _kill_raylet(self) -> None:
        raylet = self._pick("raylet")
        if raylet is not None:
            self._loop.kill(raylet)

    def _kill_driver(self) -> None:
        driver = self._pick("driver")
        if driver is not None and self._rng.random() < 0.5:
            self._loop.kill(driver)

    def _kill_gcs(self) -> None:
        """Now, or just after it has next said something: what it has acknowledged then must be on the disk."""
        if self._rng.random() < 0.4:
            self._loop.kill(self._cluster.gcs_process)  # the scenario starts it again
        else:
            self._cluster.network.on_write = self._gcs_writes

    def _gcs_writes(self, transport: Transport) -> None:
        if transport.process is self._cluster.gcs_process:
            self._cluster.network.on_write = None
            self._loop.after(self._rng.random() * 0.002, self._loop.kill, transport.process)

    def _drain(self) -> None:
        """SIGTERM for a raylet: it says goodbye."""
        raylet = self._pick("raylet")
        if raylet is not None:
            node = next(node for node in self._cluster.nodes.values() if node.process is raylet)
            if node.raylet is not None:
                self._loop.post(raylet, node.raylet.stop.set)

    def _power(self) -> None:
        """A machine is gone without a word, and comes back empty."""
        hosts = [host for host in self._cluster.network.hosts.values() if host is not self._cluster.head and host.is_up]
        if not hosts:
            return
        host = self._rng.choice(hosts)
        host.is_up = False
        for process in list(self._loop.processes.values()):
            if process.host is host:
                self._loop.kill(process, silently=True)

        def power_on() -> None:
            host.is_up = True
            self._cluster.network.healed()
            self._scenario.start_node(host)

        self._for_a_while(8.0, power_on)

    # ---------------------------------------------------------- slowness

    def _stop(self) -> None:
        """SIGSTOP, and SIGCONT."""
        process = self._pick("worker", "raylet", "gcs", "driver")
        if process is not None:
            process.stopped_until_s = self._loop.now_s + 0.02 + self._rng.random() ** 2 * 8.0
            self.open += 1
            self._loop.at(process.stopped_until_s, self._resumed)

    def _resumed(self) -> None:
        self.open -= 1

    def _slow(self) -> None:
        process = self._pick("worker", "raylet", "gcs", "driver", "zygote")
        if process is not None:
            process.slowness = 1 + self._rng.random() * 200

            def as_before() -> None:
                process.slowness = 1.0

            self._for_a_while(4.0, as_before)

    def _delay(self) -> None:
        host = self._host()
        self._cluster.network.delay(host, self._rng.random() * 0.1)
        self._for_a_while(4.0, lambda: self._cluster.network.delay(host, 0.0))

    def _disk_full(self) -> None:
        disk = self._cluster.disk
        disk.is_full = True

        def free() -> None:
            disk.is_full = False

        self._for_a_while(3.0, free)

    def _fork_failures(self) -> None:
        self._cluster.fork_failures = 0.5

        def none() -> None:
            self._cluster.fork_failures = 0.0

        self._for_a_while(3.0, none)

    # ---------------------------------------------------------- network

    def _host(self) -> Host:
        return self._rng.choice(list(self._cluster.network.hosts.values()))

    def _cut(self) -> None:
        ends = [
            endpoint
            for process in self._loop.processes.values()
            for endpoint in process.endpoints
            if isinstance(endpoint, Transport) and not endpoint.is_local
        ]
        if ends:
            end = self._rng.choice(ends)
            if self._rng.random() < 0.5:
                end.cut()
            else:
                self._cut_late(end)

    def _cut_late(self, end: Transport) -> None:
        """Once it has next said something: that comes late, when this end may be back by another connection."""
        network, late_s = self._cluster.network, self._rng.random() ** 2 * 3.0

        def writes(transport: Transport) -> None:
            if transport is end:
                network.on_write = None
                self._loop.after(0.0, end.cut, late_s)
                self.open += 1
                self._loop.after(late_s, self._resumed)

        def waits_no_longer() -> None:
            if network.on_write is writes:
                network.on_write = None

        network.on_write = writes
        self._for_a_while(2.0, waits_no_longer)

    def _partition(self, both_ways: bool = True) -> None:
        host, network = self._host(), self._cluster.network
        others = [other for other in network.hosts.values() if other is not host]
        others = self._rng.sample(others, self._rng.randint(min(1, len(others)), len(others)))
        pairs = [(host, other) for other in others]
        if both_ways:
            pairs += [(other, host) for other in others]
        elif self._rng.random() < 0.5:
            pairs = [(other, host) for other in others]
        for pair in pairs:
            network.block(*pair)

        def heal() -> None:
            for pair in pairs:
                network.unblock(*pair)

        self._for_a_while(8.0, heal)

    def _one_way(self) -> None:
        self._partition(both_ways=False)
