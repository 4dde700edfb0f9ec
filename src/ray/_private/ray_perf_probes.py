"""What one fresh driver finds: how long Ray takes to start, and what an idle cluster costs in memory.

Run by ray_perf.py in a process of its own, `python -P ray_perf_probes.py startup|memory|actors|counts`, with the Python
of the Ray to be measured; prints one JSON object. Public API only, so that it runs on any Ray.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray


@ray.remote
def small_value() -> bytes:
    return b"ok"


@ray.remote
def process_id() -> int:
    return os.getpid()


class IdleActor:
    def process_id(self) -> int:
        return os.getpid()


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def temp_dir_option() -> dict[str, Any]:
    temp_dir = os.environ.get("RAY_PERF_TEMP_DIR")
    return {"_temp_dir": temp_dir} if temp_dir else {}


def probe_startup() -> dict[str, float]:
    """Times of one fresh driver with the defaults a user has."""
    init_s = seconds(lambda: ray.init(address="local", **temp_dir_option()))
    first_task_s = seconds(lambda: ray.get(small_value.remote()))
    shutdown_s = seconds(ray.shutdown)
    return {
        "init_s": init_s,
        "first_task_s": first_task_s,
        "first_result_s": init_s + first_task_s,
        "shutdown_s": shutdown_s,
    }


def probe_memory() -> dict[str, float]:
    """What an idle cluster of one driver costs, and each idle worker of it, in MiB."""
    adopt_orphans()
    cores = os.cpu_count() or 1
    ray.init(address="local", num_cpus=cores, **temp_dir_option())
    cluster = settled_memory()
    worker = idle_memory(set(ray.get([process_id.remote() for _ in range(cores * 4)])))
    ray.shutdown()
    return {
        "cluster_private": cluster.private_mib,
        "cluster_pss": cluster.pss_mib,
        "cluster_processes": cluster.processes,
        "worker_private": worker.private_mib / worker.processes,
        "worker_pss": worker.pss_mib / worker.processes,
    }


def probe_actors() -> dict[str, float]:
    """What each of ten idle actors costs, in MiB."""
    adopt_orphans()
    ray.init(address="local", **temp_dir_option())
    actor_class: Any = ray.remote(num_cpus=0)(IdleActor)
    actors = [actor_class.remote() for _ in range(10)]
    memory = idle_memory(set(ray.get([actor.process_id.remote() for actor in actors])))
    ray.shutdown()
    return {
        "actor_private": memory.private_mib / memory.processes,
        "actor_pss": memory.pss_mib / memory.processes,
    }


def probe_counts() -> dict[str, float]:
    """What each of many small things costs all processes together, in KiB."""
    adopt_orphans()
    ray.init(address="local", num_cpus=1, **temp_dir_option())
    queued: Any = small_value.options(resources={"nowhere": 1})  # so it stays in its owner's queue
    ray.get(small_value.remote())
    count = 20_000

    def grown(make: Callable[[], object]) -> float:
        before = settled_memory(with_driver=True)
        kept = [make() for _ in range(count)]
        return (settled_memory(with_driver=True).private_mib - before.private_mib) * 1024 / len(kept)

    return {"live_ref": grown(lambda: ray.put(0)), "queued_task": grown(queued.remote)}


@dataclass(frozen=True, slots=True)
class Memory:
    """Sums over processes: `private` is theirs alone (USS), `pss` adds their share of what others map too."""

    processes: int
    private_mib: float
    pss_mib: float


def memory_of(pids: set[int]) -> Memory:
    """Read from the kernel; a process that ends meanwhile is left out."""
    processes, private_kib, pss_kib = 0, 0, 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            kib = {key: int(value) for key, value in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)}
            processes += 1
            private_kib += kib["Private_Clean"] + kib["Private_Dirty"]
            pss_kib += kib["Pss"]
    return Memory(processes, private_kib / 1024, pss_kib / 1024)


def idle_memory(pids: set[int]) -> Memory:
    """Of these processes, once the whole cluster is idle."""
    settled_memory()
    return memory_of(pids)


def settled_memory(deadline_s: float = 30.0, with_driver: bool = False) -> Memory:
    """The memory of all processes below this one, once it has stayed within 1 MiB for three readings."""
    own = {os.getpid()} if with_driver else set()
    readings: list[Memory] = []
    give_up_at_s = time.monotonic() + deadline_s
    while time.monotonic() < give_up_at_s:
        readings = [*readings[-2:], memory_of(descendants(os.getpid()) | own)]
        sums = [reading.pss_mib for reading in readings]
        if len(sums) == 3 and max(sums) - min(sums) < 1:
            break
        time.sleep(0.7)  # the sampling interval: a cluster still starting grows by more than 1 MiB in it
    return readings[-1]


def adopt_orphans() -> None:
    """Become the parent of daemons whose parent exits, so that descendants() finds them all. See prctl(2)."""
    pr_set_child_subreaper = 36
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants(root: int) -> set[int]:
    """All processes below `root`, as /proc tells now."""
    parent_of: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # The name, in parentheses, may hold anything; the state and the parent's id come after it.
            parent_of[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found, frontier = set[int](), {root}
    while frontier:
        frontier = {pid for pid, parent in parent_of.items() if parent in frontier}
        found |= frontier
    return found


PROBES: dict[str, Callable[[], dict[str, float]]] = {
    "startup": probe_startup,
    "memory": probe_memory,
    "actors": probe_actors,
    "counts": probe_counts,
}

if __name__ == "__main__":
    print(json.dumps(PROBES[sys.argv[1]]()))
