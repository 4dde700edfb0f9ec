"""What a task costs with more workers, more raylets, and after a million of them; by hand, since it takes minutes.

    python benchmarks/scale.py workers|raylets|growth [--tasks 20000] [--counts 1,2,4,8]

CPU time is what counts here, by role: it is the same on a busy machine, and shows which process would be the limit if
each had a core. All workers and raylets share this machine's cores. Prints a table. Linux only: reads /proc.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

BATCH = 1000
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
ROLES = ("driver", "workers", "raylets", "gcs_server")
GROWTH_AT = (100_000, 250_000, 500_000, 1_000_000)
_PARENT, _TIMES = 1, slice(11, 13)
"""Fields of /proc/pid/stat behind the command's name, see proc(5); children that have ended are not among them."""


@ray.remote
def small_value() -> bytes:
    return b"ok"


# --- who uses what ------------------------------------------------------------------------------------------------


def roles() -> dict[int, str]:
    """This process and those below it, by what they are."""
    parents, found = {}, {os.getpid(): "driver"}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parents[int(entry.name)] = int(_fields(entry)[_PARENT])
    frontier = {os.getpid()}
    while frontier:
        frontier = {pid for pid, parent in parents.items() if parent in frontier}
        for pid in frontier:
            with contextlib.suppress(OSError):
                found[pid] = role_of((Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace"))
    return found


def role_of(command: str) -> str:
    """Pure."""
    if "gcs.server" in command:
        return "gcs_server"
    if "raylet.main" in command:
        return "raylets"
    return "workers" if command.startswith("ray::") and "Agent" not in command else "other"


def cpu_seconds() -> Counter[str]:
    used: Counter[str] = Counter()
    for pid, role in roles().items():
        with contextlib.suppress(OSError):
            used[role] += sum(map(int, _fields(Path("/proc") / str(pid))[_TIMES])) / TICKS_PER_S
    return used


def private_mib() -> Counter[str]:
    used: Counter[str] = Counter()
    for pid, role in roles().items():
        with contextlib.suppress(OSError):
            text = (Path("/proc") / str(pid) / "smaps_rollup").read_text()
            used[role] += sum(map(int, re.findall(r"^Private_\w+: +(\d+) kB$", text, re.MULTILINE))) / 1024
    return used


def _fields(entry: Path) -> list[str]:
    return (entry / "stat").read_text().rpartition(")")[2].split()


# --- what is run --------------------------------------------------------------------------------------------------


def run(tasks: int) -> None:
    for _ in range(tasks // BATCH):
        ray.get([small_value.remote() for _ in range(BATCH)])


def cost(count: int, tasks: int) -> list[str]:
    """One row: of `tasks` tasks, after as many again that only warm up."""
    run(tasks)
    before, began_s = cpu_seconds(), time.perf_counter()
    run(tasks)
    elapsed_s, used = time.perf_counter() - began_s, cpu_seconds() - before
    processes = Counter(roles().values())
    per_task = [f"{used[role] / tasks * 1e6:.1f}" for role in ROLES]
    return [str(count), str(processes["workers"]), f"{tasks / elapsed_s:,.0f}", *per_task]


def workers(counts: Sequence[int], tasks: int) -> Iterator[list[str]]:
    """One node with so many CPUs."""
    yield ["CPUs", "workers", "tasks/s", *(f"{role}, µs" for role in ROLES)]
    for count in counts:
        ray.init(num_cpus=count, log_to_driver=False, logging_level="ERROR")
        yield cost(count, tasks)
        ray.shutdown()


def raylets(counts: Sequence[int], tasks: int) -> Iterator[list[str]]:
    """So many nodes of one CPU, all with work: SPREAD would place each task anew."""
    yield ["raylets", "workers", "tasks/s", *(f"{role}, µs" for role in ROLES)]
    for count in counts:
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        for _ in range(count - 1):
            cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cost(count, tasks)
        ray.shutdown()
        cluster.shutdown()


def growth(at: Sequence[int], _: int) -> Iterator[list[str]]:
    """Private memory of each role after so many tasks."""
    yield ["tasks", *(f"{role}, MiB" for role in ROLES)]
    ray.init(num_cpus=2, log_to_driver=False, logging_level="ERROR")
    done = 0
    for count in at:
        run(count - done)
        done = count
        used = private_mib()
        yield [f"{count:,}", *(f"{used[role]:.1f}" for role in ROLES)]
    ray.shutdown()


def main() -> None:
    kinds: dict[str, tuple[Any, Sequence[int]]] = {
        "workers": (workers, (1, 2, 4, 8, 16, 32, 64)),
        "raylets": (raylets, (1, 2, 4, 8, 16)),
        "growth": (growth, GROWTH_AT),
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=list(kinds))
    parser.add_argument("--tasks", type=int, default=20_000, help=f"per row, a multiple of {BATCH} (default 20000)")
    parser.add_argument("--counts", default="", help="of the rows, with commas between them")
    options = parser.parse_args()
    measure, counts = kinds[options.kind]
    given = [int(each) for each in options.counts.split(",")] if options.counts else counts
    for number, row in enumerate(measure(given, options.tasks)):
        print("| " + " | ".join(row) + " |", flush=True)
        if number == 0:
            print("|" + " ---: |" * len(row), flush=True)


if __name__ == "__main__":
    main()
