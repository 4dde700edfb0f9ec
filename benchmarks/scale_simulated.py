"""What a cluster of thousands of nodes costs its GCS, and how long tasks and actors wait: on virtual time.

    python benchmarks/scale_simulated.py 1000 3000 10000    # measures, and writes scale_simulated.json
    python benchmarks/scale_simulated.py --report           # from it: scale.md and scale.svg (the extra `plot`)

See `scale_model` for what is real in it and what is modelled.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import subprocess
import sys
import time
import types
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from scale_model import UNIT, ModelNode, World  # first: it makes the simulator importable
from simulation.core import NAMESPACE, SimCore
from simulation.patches import real_modules_on_virtual_time

from ray._core.common import messages as m

HERE = Path(__file__).parent
CPUS = 8
DRIVERS = 4
REAL_CPUS = 2
"""Of the nodes that are real, where half the CPUs hold a hundred actors in processes of their own."""
LOST = 0.05
BUSY = 0.6
"""So much of the cluster's CPUs the tasks keep in use."""
IDLE_S = 30.0
DRIVER_ACTORS_PER_S = 250


class Measure:
    """What one phase took of the real processes, in CPU time, and which messages were sent."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._cpu, self._sent = Counter(world.loop.cpu_s), Counter(world.loop.sent)
        self.at_s, self._wall_s = world.loop.now_s, time.monotonic()

    def done(self, per: int, **more: Any) -> dict[str, Any]:
        loop = self._world.loop
        sent = {f"{kind}:{name}": count for (kind, name), count in (loop.sent - self._sent).items()}
        cpu_s = {kind: round(used, 4) for kind, used in (loop.cpu_s - self._cpu).items()}
        return {
            "count": per,
            "virtual_s": round(loop.now_s - self.at_s, 3),
            "wall_s": round(time.monotonic() - self._wall_s, 1),
            "cpu_s": cpu_s,
            "gcs_us_each": round(cpu_s.get("gcs", 0.0) / per * 1e6, 1),
            "messages_each": round(sum(sent.values()) / per, 2),
            "sent": dict(Counter(sent).most_common(12)),
            **more,
        }


def percentiles_ms(values_s: list[float]) -> dict[str, float]:
    ordered = sorted(values_s)
    return {f"p{p}": round(ordered[min(int(len(ordered) * p / 100), len(ordered) - 1)] * 1000, 2) for p in (50, 90, 99)}


def deep_bytes(root: Any) -> int:
    """What is reachable from an object of the GCS, without modules, classes, functions and the simulator."""
    seen, todo, total = set(), [root], 0
    code = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType)
    passed_over = (*code, asyncio.AbstractEventLoop)
    while todo:
        found = todo.pop()
        if id(found) in seen or isinstance(found, passed_over) or type(found).__module__.startswith("simulation"):
            continue
        seen.add(id(found))
        total += sys.getsizeof(found)
        if isinstance(found, msgspec.Struct):  # most are not known to the collector
            todo += [getattr(found, name) for name in found.__struct_fields__]
        todo += gc.get_referents(found)
    return total


class Run:
    def __init__(self, nodes: int, tasks: int, actors: int, groups: int) -> None:
        self.world = World(nodes, task_s=0.5)
        self.loop, self.cluster = self.world.loop, self.world.cluster
        self.size, self.tasks, self.actors, self.groups = nodes, tasks, actors, groups
        self.cores: list[SimCore] = []
        self.result: dict[str, Any] = {"nodes": nodes, "at": _commit()}

    def measure(self) -> dict[str, Any]:
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        self.loop.count_messages()
        with real_modules_on_virtual_time(self.loop):
            for phase in (self.join, self.rest, self.place_actors, self.place_groups, self.run_tasks, self.lose):
                name = phase.__name__
                self.result[name] = phase()
                print(f"{self.size} nodes, {name}: {json.dumps(self.result[name])}", flush=True)
            self.loop.bury()
        return self.result

    def until(self, is_done: Any, within_s: float = 3600.0) -> None:
        if not self.loop.run(self.loop.now_s + within_s, is_done):
            raise SystemExit(f"Not done within {within_s} virtual seconds.")

    # ---------------------------------------------------------- phases

    def join(self) -> dict[str, Any]:
        """All but the real nodes join in a burst."""
        cluster = self.cluster
        cluster.start_gcs()
        hosts = [cluster.head, *(cluster.network.add_host(f"host{n}") for n in range(1, DRIVERS))]
        self.real = [cluster.start_node(host, {"CPU": REAL_CPUS}) for host in hosts]
        self.until(lambda: all(node.is_ready for node in self.real))
        for node in self.real:
            cluster.start_driver(f"driver{node.number}", node, self._idle_driver)
        self.until(lambda: len(self.cores) == DRIVERS)
        self.before_bytes = deep_bytes(cluster.gcs)
        measure = Measure(self.world)
        count = self.size - DRIVERS
        self.world.nodes = [ModelNode(self.world, n, {"CPU": CPUS * UNIT}) for n in range(count)]
        self.until(lambda: self.world.joined == count)
        return measure.done(count)

    async def _idle_driver(self, core: SimCore) -> None:
        self.cores.append(core)

    def rest(self) -> dict[str, Any]:
        """Nothing happens: heartbeats."""
        self.loop.run(self.loop.now_s + 15.0)  # what the joining has left to be told
        measure = Measure(self.world)
        self.loop.run(self.loop.now_s + IDLE_S)
        pings = sum(count for (kind, name), count in (self.loop.sent - measure._sent).items() if name == "Ping")
        after = deep_bytes(self.cluster.gcs)
        return measure.done(pings, gcs_bytes_per_node=round((after - self.before_bytes) / self.size))

    def place_actors(self) -> dict[str, Any]:
        measure, table = Measure(self.world), self.cluster.gcs.actors.table
        asked: dict[bytes, float] = {}
        alive: dict[bytes, float] = {}
        handles: list[Any] = []
        created, loop = table.created, self.loop

        def counted(actor_id: bytes, *args: Any) -> Any:
            alive.setdefault(actor_id, loop.now_s)
            return created(actor_id, *args)

        table.created = counted  # type: ignore[method-assign]

        async def program(core: SimCore, count: int) -> None:
            for _ in range(count):
                handle = await core.create_actor({}, held={"CPU": UNIT // 100}, max_restarts=-1)
                asked[handle.actor_id] = loop.now_s
                handles.append(handle)
                await asyncio.sleep(1 / DRIVER_ACTORS_PER_S)

        before = deep_bytes(self.cluster.gcs)
        self._on_each(program, self.actors)
        self.until(lambda: len(alive) >= self.actors)
        self.handles = handles
        waits = percentiles_ms([alive[actor_id] - asked[actor_id] for actor_id in asked])
        more = round((deep_bytes(self.cluster.gcs) - before) / self.actors)
        return measure.done(self.actors, latency_ms=waits, gcs_bytes_per_actor=more)

    def place_groups(self) -> dict[str, Any]:
        measure, loop, waits = Measure(self.world), self.loop, list[float]()
        strategies = ["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"]

        async def program(core: SimCore, count: int) -> None:
            for number in range(count):
                group_id = loop.random_for(f"{core.process.name} {number}").randbytes(14) + core.job_id
                bundles = [m.BundleSpec(index, {"CPU": UNIT // 4}) for index in range(4)]
                strategy = strategies[number % 4]
                info = m.PlacementGroupInfo(
                    group_id, core.job_id, "", NAMESPACE, strategy, bundles, False, b"", "PENDING", []
                )
                at_s = loop.now_s
                await core.request(core.gcs, m.CreateGroup(info=info))
                await core.request(core.gcs, m.GetGroup(group_id=group_id, wait=True))
                waits.append(loop.now_s - at_s)

        self._on_each(program, self.groups)
        self.until(lambda: len(waits) >= self.groups)
        return measure.done(self.groups, latency_ms=percentiles_ms(waits))

    def run_tasks(self) -> dict[str, Any]:
        measure, world, done = Measure(self.world), self.world, list[int]()
        task_starts = self.cluster.ledger.task_starts

        def starts(core: SimCore, call: Any, plan: dict[str, Any]) -> None:  # on a real node
            task_starts(core, call, plan)
            world.started(call.task_id)

        self.cluster.ledger.task_starts = starts  # type: ignore[method-assign]

        async def program(core: SimCore, count: int) -> None:
            width = max(int(CPUS * self.size * BUSY) // DRIVERS, 1)
            left, waiting = count, dict[Any, None]()
            while left or waiting:
                while left and len(waiting) < width:
                    ref = core.task({"token": 1, "sleep": world.task_s})
                    world.submitted_at_s[ref.binary()[:-4]] = self.loop.now_s
                    waiting[ref] = None
                    left -= 1
                ref = next(iter(waiting))
                del waiting[ref]
                await core.get_one(ref)
                done.append(1)

        self._on_each(program, self.tasks)
        self.until(lambda: len(done) >= self.tasks)
        return measure.done(
            self.tasks, latency_ms=percentiles_ms(world.waits_s), seen=len(world.waits_s), task_s=world.task_s
        )

    def lose(self) -> dict[str, Any]:
        """Machines lose their power; their actors start again elsewhere."""
        count = max(int(self.size * LOST), 1)
        measure, world = Measure(self.world), self.world
        lost, world.nodes = world.nodes[:count], world.nodes[count:]
        for node in lost:
            world.power_off(node.host)
        table, ids = self.cluster.gcs.nodes.table, {node.node_id for node in lost}
        self.until(lambda: all(info.state == "DEAD" for info in table.infos() if info.node_id in ids))
        actors = self.cluster.gcs.actors.table
        self.until(lambda: all(info.state == "ALIVE" for info in actors.infos()))
        groups = self.cluster.gcs.groups.table
        self.until(lambda: all(info.state == "CREATED" for info in groups.infos()))
        idle = self.result["rest"]
        pings_cpu_s = idle["cpu_s"]["gcs"] / IDLE_S * (self.loop.now_s - measure.at_s)
        return measure.done(
            count, gcs_idle_cpu_s=round(pings_cpu_s, 3), actors_moved=sum(len(node.actors) for node in lost)
        )

    def _on_each(self, program: Any, total: int) -> None:
        """Run it on all drivers, each with its share."""
        for number, core in enumerate(self.cores):
            share = total // DRIVERS + (number < total % DRIVERS)
            self.loop.post(core.process, lambda core=core, share=share: self.loop.create_task(program(core, share)))


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nodes", type=int, nargs="*")
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--actors", type=int, default=40_000)
    parser.add_argument("--groups", type=int, default=1_000)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--json", type=Path, default=HERE / "scale_simulated.json")
    args = parser.parse_args()
    for nodes in args.nodes:
        result = Run(nodes, args.tasks, args.actors, args.groups).measure()
        results = json.loads(args.json.read_text()) if args.json.exists() else {}
        results[str(nodes)] = result
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    if args.report:
        from scale_report import write

        write(HERE, json.loads(args.json.read_text()))


if __name__ == "__main__":
    main()
