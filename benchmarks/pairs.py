"""Measure this working tree against a commit, pair by pair, and print the ratio for each line.

    make bench BASE=HEAD~3 ONLY='actor calls'
    python benchmarks/pairs.py HEAD~3 --only 'actor calls'
    python benchmarks/pairs.py --base-python PYTHON       the Ray that this Python has installed, instead of a commit

Both sides have a cluster at the same time, and take turns in short samples: what else the machine does meets both. They
are started several times, since where the kernel first puts a process counts for as long as it lives. The ratio of a
line is the median of the ratios of its pairs (above 1: the tree is better); in parentheses is the middle half of them.
Beside it stands what a unit of work takes of the CPU, in all processes of the side; Linux only, it is read from /proc.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PERF_FILES = [ROOT / "src/ray/_private" / name for name in ("ray_perf.py", "ray_perf_probes.py")]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PARENT, _TIMES = 1, slice(11, 15)
"""Fields of /proc/pid/stat behind the command's name, see proc(5)."""


@dataclass(frozen=True, slots=True)
class Sample:
    value: float
    cpu_s: float
    """Of all processes, per unit of work; only where the value is a rate."""


# --- the measured side: a process of its own ----------------------------------------------------------------------


def load_perf() -> Any:
    """The workloads of this tree, whichever Ray they run on. Workers find them by PYTHONPATH, as we do."""
    return importlib.import_module("ray_perf")


def cpu_seconds() -> float:
    """What this process and all below it have used, with those that have ended."""
    stats: dict[int, tuple[int, float]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                stats[int(entry.name)] = int(fields[_PARENT]), sum(map(int, fields[_TIMES])) / TICKS_PER_S
    below = {os.getpid()}
    while more := {pid for pid, (parent, _) in stats.items() if parent in below} - below:
        below |= more
    return sum(stats[pid][1] for pid in below)


def serve(name: str, duration_s: float) -> None:
    """Prepare a workload, then measure one sample for each line that comes in."""
    perf = load_perf()
    import ray

    workload = next(one for one in perf.WORKLOADS if one.name == name)
    if workload.needs_cluster:
        perf.start_cluster()
    plan = perf.Plan(warmup_s=duration_s / 4, duration_s=duration_s, repeats=1, heavy_repeats=1)
    done = 0.0

    with contextlib.contextmanager(workload.setup)() as operation:

        def counting() -> float:
            nonlocal done
            amount: float = operation()
            done += amount
            return amount

        is_rate = workload.measure is perf.measure_rate
        workload.measure(counting, plan)  # what the first calls do beside their work: templates, connections
        answer({"unit": workload.unit, "is_rate": is_rate})
        for _ in sys.stdin:
            before_s, done = cpu_seconds(), 0.0
            value = workload.measure(counting, plan)[0]
            cpu_s = (cpu_seconds() - before_s) / done if is_rate else 0.0
            answer({"value": value, "cpu_s": cpu_s})
    ray.shutdown()


def answer(message: dict[str, Any]) -> None:
    print(json.dumps(message), file=sys.__stdout__, flush=True)


# --- the measuring side -------------------------------------------------------------------------------------------


class Side:
    """One side of one workload, ready to be measured."""

    def __init__(self, python: str, source: Path | None, workload: str, duration_s: float, temp_dir: Path) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "PYTHON"))}
        environment["RAY_PERF_TEMP_DIR"] = str(temp_dir)
        for file in PERF_FILES:
            shutil.copy(file, temp_dir)  # away from what else lies beside it
        environment["PYTHONPATH"] = os.pathsep.join(map(str, filter(None, (source, temp_dir))))
        command = [python, "-P", __file__, "--serve", workload, "--duration", str(duration_s)]
        self._log = (temp_dir / "log").open("w+")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environment
        )
        about = self._answer()
        self.unit, self.is_rate = str(about["unit"]), bool(about["is_rate"])

    def sample(self) -> Sample:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return Sample(**self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # else something that a worker or a library has printed
                found: dict[str, Any] = json.loads(line)
                return found
        self._log.seek(0)
        raise RuntimeError(f"a side ended before it answered: {' | '.join(self._log.read().splitlines()[-3:])}")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.close()


@contextlib.contextmanager
def sides(base: tuple[str, Path | None], workload: str, duration_s: float) -> Iterator[tuple[Side, Side]]:
    """The tree's and the base's."""
    with contextlib.ExitStack() as stack:
        opened = []
        for python, source in ((sys.executable, ROOT / "src"), base):
            temp_dir = Path(tempfile.mkdtemp(prefix="rp"))  # short: Unix sockets lie in it
            stack.callback(shutil.rmtree, temp_dir, ignore_errors=True)
            side = Side(python, source, workload, duration_s, temp_dir)
            stack.callback(side.close)
            opened.append(side)
        yield opened[0], opened[1]


def measure(base: tuple[str, Path | None], workload: str, options: argparse.Namespace) -> str:
    """One line of the table."""
    found: list[tuple[Sample, Sample]] = []
    for _ in range(options.starts):
        with sides(base, workload, options.duration) as (tree, other):
            for number in range(options.pairs):
                if number % 2:
                    second = other.sample()
                    found.append((tree.sample(), second))
                else:
                    found.append((tree.sample(), other.sample()))
            unit, is_rate = tree.unit, tree.is_rate
    return line(workload, unit, is_rate, found)


def line(workload: str, unit: str, is_rate: bool, found: Sequence[tuple[Sample, Sample]]) -> str:
    """Pure."""
    ratios = sorted(a.value / b.value if unit == "per second" else b.value / a.value for a, b in found)
    low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
    ours, theirs = (statistics.median(pair[side].value for pair in found) for side in (0, 1))
    text = f"{workload:45} {unit:11} {ours:11.4g} {theirs:11.4g}"
    text += f" {statistics.median(ratios):6.2f} x ({low:.2f} to {high:.2f})"
    if is_rate:
        ours, theirs = (statistics.median(pair[side].cpu_s for pair in found) * 1e6 for side in (0, 1))
        text += f"   CPU {ours:.0f} / {theirs:.0f} µs"
    return text


@contextlib.contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """The sources of `commit` in a worktree of their own."""
    place = Path(tempfile.mkdtemp(prefix="pairs-"))
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(place / "base"), commit], check=True)
    try:
        yield place / "base" / "src"
    finally:
        subprocess.run([*git, "remove", "--force", str(place / "base")], check=True)
        place.rmdir()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add(
        "base", nargs="?", default="HEAD", help="the commit, or the directory of a tree, to compare with (default HEAD)"
    )
    add("--base-python", metavar="PYTHON", help="compare with the Ray installed for this Python instead")
    add("--only", default="tasks|calls", metavar="PATTERN", help="workloads whose name matches (default 'tasks|calls')")
    add("--pairs", type=int, default=5, help="samples of each side per start (default 5)")
    add("--starts", type=int, default=3, help="how often both sides are started anew (default 3)")
    add("--duration", type=float, default=0.4, metavar="SECONDS", help="of a sample, at least (default 0.4)")
    add("--serve", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    if options.serve:
        serve(options.serve, options.duration)
        return
    sys.path.insert(0, str(ROOT / "src"))
    sys.path.append(str(PERF_FILES[0].parent))
    names = [one.name for one in load_perf().WORKLOADS if re.search(options.only, one.name) and not one.huge]
    with contextlib.ExitStack() as stack:
        if options.base_python:
            base: tuple[str, Path | None] = (options.base_python, None)
        elif Path(options.base).is_dir():
            base = (sys.executable, Path(options.base).resolve() / "src")
        else:
            base = (sys.executable, stack.enter_context(checked_out(options.base)))
        print(f"{'workload':45} {'unit':11} {'tree':>11} {'base':>11}  ratio (middle half)")
        for name in names:
            try:
                print(measure(base, name, options), flush=True)
            except RuntimeError as error:
                print(f"{name:45} not measured: {error}", flush=True)


if __name__ == "__main__":
    main()
