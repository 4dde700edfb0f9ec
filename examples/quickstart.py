"""What `make quickstart` runs: a head of its own, the map-reduce on it, what that cost, and the end of the head.

Everything lies in a temp dir of its own and on a free port, so that a cluster which runs here already is left alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray._core.node import processes  # to count what runs: users have `ray status` and `ps`

EXAMPLE = Path(__file__).with_name("map_reduce_stdlib.py")
TICKS = os.sysconf("SC_CLK_TCK")


def ray(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "ray.scripts.scripts", *arguments], check=True)


@contextmanager
def timed(what: str, took_s: dict[str, float]) -> Iterator[None]:
    began_s = time.perf_counter()
    yield
    took_s[what] = time.perf_counter() - began_s


def usage(pids: list[int]) -> tuple[float, float]:
    """(CPU seconds, MB of memory) of processes; a page that several share is counted once."""
    cpu_s = memory = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        cpu_s += sum(map(int, fields[11:15])) / TICKS  # its own, and that of its children which have ended
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().split()
        memory += int(rollup[rollup.index("Pss:") + 1]) / 1024
    return cpu_s, memory


def main() -> None:
    took_s: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="ray") as temp:
        try:
            with timed("start", took_s):
                ray("start", "--head", "--port=0", "--temp-dir", temp, "--log-style=pretty")
            address = (Path(temp) / "ray_current_cluster").read_text()
            print(
                f"\nCounting the syntax nodes of this Python's standard library on the cluster at {address} …\n",
                flush=True,
            )
            with timed("example", took_s):
                subprocess.run([sys.executable, str(EXAMPLE), "--address", address], check=True)
            cluster = processes.of_this_machine(Path(temp))
            cpu_s, memory = usage([process.pid for process in cluster])
        finally:
            with timed("stop", took_s):
                ray("stop", "--temp-dir", temp, "--log-style=pretty")
    print(
        f"\nIt cost: {took_s['start']:.2f} s to start the cluster, {took_s['example']:.2f} s for the program, "
        f"{took_s['stop']:.2f} s to stop;\n{cpu_s:.1f} CPU seconds in {len(cluster)} processes of the cluster, "
        f"which hold {memory:.0f} MB when the program has ended."
    )


if __name__ == "__main__":
    main()
