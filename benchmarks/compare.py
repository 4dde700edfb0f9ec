"""Measure this working tree, the real Ray 2.60.0 and the standard library in turn; write RESULTS.md.

    python benchmarks/compare.py [--rounds 5] [--quick] [--only PATTERN] [--peer NAME] [--work-dir DIR]

Every peer has a virtual environment of its own and runs the same script, one process per peer and round, with a
temporary directory of its own. A process that falls silent is killed, and so is all that a peer leaves behind.
Linux only: the clean-up relies on being the subreaper of the peers' daemons.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import datetime
import json
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from report import PURE, REAL, STDLIB, Measurements, Samples, Setting, decode, render

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PERF_FILES = [ROOT / "src/ray/_private" / name for name in ("ray_perf.py", "ray_perf_probes.py")]
# A workload has time-outs of its own, the longest of 300 s (100k queued tasks); only a process that no longer
# obeys its alarm, or loses a lot of time in stopping its cluster, is silent for longer.
SILENCE_S = 420.0
HUGE_SILENCE_S = 2400.0


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    requirements: tuple[str, ...]  # for pip; empty: the standard library is all it needs
    renewed: bool  # install again each time: the working tree changes
    script: Path

    @property
    def takes_ray_options(self) -> bool:
        return bool(self.requirements)


def peers(scripts: Path) -> list[Peer]:
    perf = scripts / PERF_FILES[0].name
    return [
        Peer(PURE, (f"{ROOT}[numpy]",), True, perf),
        Peer(REAL, ("ray==2.60.0", "numpy"), False, perf),
        Peer(STDLIB, (), False, scripts / "stdlib_peers.py"),
    ]


def prepare_venv(peer: Peer, work_dir: Path) -> Path:
    """The Python of the peer's environment, which is made or renewed when needed."""
    place = work_dir / peer.name.replace(" ", "-")
    python, complete = place / "bin/python", place / "complete"
    if complete.exists() and not peer.renewed:
        return python
    print(f"installing {peer.name} into {place}", flush=True)
    complete.unlink(missing_ok=True)
    venv.create(place, with_pip=True, clear=True)
    if peer.requirements:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *peer.requirements], check=True)
    complete.touch()
    return python


def copy_scripts(work_dir: Path) -> Path:
    """Away from src/, so that a peer finds its own `ray` and nothing of this tree."""
    scripts = work_dir / "scripts"
    scripts.mkdir(parents=True, exist_ok=True)
    for source in (*PERF_FILES, HERE / "stdlib_peers.py"):
        shutil.copy(source, scripts)
    return scripts


# --- processes ----------------------------------------------------------------------------------------------------


def adopt_orphans() -> None:
    """Become the parent of the peers' daemons when theirs exits, so that none escapes. See prctl(2)."""
    pr_set_child_subreaper = 36
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def children() -> list[int]:
    return [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]


def end_what_is_left(grace_s: float = 10.0) -> int:
    """Wait for our children to end by themselves, then kill them; how many had to be killed."""
    give_up_at_s, killed = time.monotonic() + grace_s, 0
    while pids := children():  # those of one that ends become ours
        late = time.monotonic() > give_up_at_s
        for pid in pids:
            if late:
                os.kill(pid, signal.SIGKILL)  # not waited for yet, so the id cannot be another process's
            ended, _status = os.waitpid(pid, 0 if late else os.WNOHANG)
            killed += late and ended == pid
        time.sleep(0.05)  # the interval of looking
    return killed


@contextlib.contextmanager
def temporary_directory() -> Iterator[Path]:
    """Short, because Ray's Unix sockets lie in it and their paths may have 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="rp"))
    try:
        yield path
    finally:
        # Not an error when something is gone meanwhile: killed processes do not write any more, but a peer's
        # own clean-up may have been interrupted half-way.
        shutil.rmtree(path, ignore_errors=True)


def peer_environment(temp_dir: Path) -> dict[str, str]:
    """Nothing that points at a running cluster, at this tree, or changes how a Ray behaves."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "PYTHON"))}
    return {**kept, "TMPDIR": str(temp_dir), "RAY_USAGE_STATS_ENABLED": "0"}


def follow(process: subprocess.Popen[bytes], silence_s: float) -> bool:
    """Show the process's lines until it ends; False when it was silent for too long."""
    assert process.stdout is not None
    heard_at_s = time.monotonic()
    while time.monotonic() - heard_at_s < silence_s:
        # Slices of a second, because a daemon may hold the pipe open after the process has ended.
        if select.select([process.stdout], [], [], 1.0)[0]:
            heard_at_s = time.monotonic()
            text = os.read(process.stdout.fileno(), 65536)
            sys.stdout.write(text.decode(errors="replace"))
            sys.stdout.flush()
            if not text:
                return True
        elif process.poll() is not None:
            return True
    return False


# --- one peer, one round ------------------------------------------------------------------------------------------


def run_peer(peer: Peer, python: Path, options: argparse.Namespace) -> list[Samples]:
    """All workloads of one peer; starts the rest in a new process when one takes the process with it."""
    samples: list[Samples] = []
    while True:
        found, running = run_once(peer, python, options, [one.name for one in samples])
        samples += found
        if running is None:
            return samples
        print(f"{running} not measured: the process ended in it", flush=True)
        samples.append(Samples(running, "", error="its process was killed after a long silence, or died"))


def run_once(
    peer: Peer, python: Path, options: argparse.Namespace, done: Sequence[str]
) -> tuple[list[Samples], str | None]:
    """The samples of one process, and the workload in which it ended when that was not the last."""
    silence_s = HUGE_SILENCE_S if options.huge else SILENCE_S
    with temporary_directory() as temp_dir:
        report = temp_dir / "report.json"
        command = [str(python), "-P", str(peer.script), "--json", str(report), *flags(peer, options, temp_dir)]
        command += [argument for name in done for argument in ("--exclude", name)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=temp_dir, env=peer_environment(temp_dir)
        )
        try:
            if not follow(process, silence_s):
                process.kill()
            process.wait()
        finally:
            left = end_what_is_left()
        if left:
            print(f"{peer.name} left {left} processes, now killed", flush=True)
        if not report.exists():
            # 2: no workload is left that was not excluded. Anything else failed before the first.
            if process.returncode == 2 and done:
                return [], None
            raise SystemExit(f"{peer.name} ended with code {process.returncode} before its first workload")
        found = json.loads(report.read_text())
        return decode(found), found["running"]


def flags(peer: Peer, options: argparse.Namespace, temp_dir: Path) -> list[str]:
    chosen = ["--quick"] if options.quick else []
    if peer.takes_ray_options:
        chosen += ["--only", options.only, "--temp-dir", str(temp_dir / "ray")]
        chosen += ["--huge"] if options.huge else []
    return chosen


# --- the command --------------------------------------------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pure-ray-benchmarks"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--rounds", type=int, default=5, help="how often each peer is measured (default 5)")
    add("--quick", action="store_true", help="shorter samples and fewer repeats")
    add("--huge", action="store_true", help="also the workloads that take minutes")
    add("--only", default="", metavar="PATTERN", help="the Ray workloads whose name matches this regex")
    add("--peer", action="append", choices=[PURE, REAL, STDLIB], help="only this peer; repeatable (default: all)")
    add("--work-dir", type=Path, default=cache, help=f"for the virtual environments (default {cache})")
    add("--output", type=Path, default=HERE / "RESULTS.md", help="the table (default benchmarks/RESULTS.md)")
    return parser.parse_args()


def setting(options: argparse.Namespace, load_average: float) -> Setting:
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Setting(
        date=datetime.date.today().isoformat(),
        cores=os.cpu_count() or 1,
        memory_gib=round(memory_bytes / 2**30, 1),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        rounds=options.rounds,
        quick=options.quick,
        load_average=load_average,
    )


def main() -> None:
    options = parse_arguments()
    adopt_orphans()
    work_dir = options.work_dir.resolve()
    chosen = [peer for peer in peers(copy_scripts(work_dir)) if not options.peer or peer.name in options.peer]
    pythons = {peer.name: prepare_venv(peer, work_dir) for peer in chosen}
    measurements, began_s, load_average = Measurements(), time.monotonic(), os.getloadavg()[0]
    for number in range(1, options.rounds + 1):
        for peer in chosen:
            print(f"\nround {number} of {options.rounds}: {peer.name}", flush=True)
            measurements.add(peer.name, run_peer(peer, pythons[peer.name], options))
            # Each round, so that an interrupted comparison leaves what it had.
            options.output.write_text(render(measurements, setting(options, load_average)))
    print(f"\nwrote {options.output} after {time.monotonic() - began_s:.0f} s")


if __name__ == "__main__":
    main()
