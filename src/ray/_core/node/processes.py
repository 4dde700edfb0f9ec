"""Which processes of ours run on this machine, for `ray stop`. Floor: node, shell.

Every service has `--session-dir` on its command line; a worker has a service among its ancestors.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

GCS = "ray._core.gcs.server"
SERVICES = (
    GCS,
    "ray._core.raylet.main",
    "ray.util.client.server",
    "ray.dashboard",
    "ray.autoscaler",
)
"""Modules, and packages of modules, that run as processes of a node."""


KILL_S = 10.0
"""How long SIGKILL may take: a process in a system call ends only behind it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Process:
    """`session_dir` "": it is a child of a service."""

    pid: int
    parent: int
    name: str
    session_dir: str


def service_of(argv: Sequence[str]) -> tuple[str, str] | None:
    """(module, session directory) if that is the command line of a service of ours. Pure."""
    if "-m" not in argv[:-1] or "--session-dir" not in argv[:-1]:
        return None
    module = argv[argv.index("-m") + 1]
    if not any(module == name or module.startswith(name + ".") for name in SERVICES):
        return None
    return module, argv[argv.index("--session-dir") + 1]


def of_this_machine(below: Path | None = None) -> list[Process]:
    """Services of this user (root: of all) and their descendants, services first; `below`: of sessions in there."""
    table: dict[int, tuple[int, list[str]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):  # it has ended meanwhile, or is not ours to look at
                table[int(entry.name)] = _read(entry)
    found: dict[int, Process] = {}
    for pid, (parent, argv) in table.items():
        service = service_of(argv)
        if service is not None and (below is None or Path(service[1]).is_relative_to(below)):
            found[pid] = Process(pid, parent, service[0], service[1])
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in table.items():
        children.setdefault(parent, []).append(pid)
    ahead = list(found)
    while ahead:
        for pid in children.get(ahead.pop(), ()):
            if pid not in found:
                found[pid] = Process(pid, table[pid][0], " ".join(table[pid][1][:3]), "")
                ahead.append(pid)
    return list(found.values())


def _read(entry: Path) -> tuple[int, list[str]]:
    """(parent, argv). Raises OSError or ValueError for one that is gone or a zombie."""
    state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
    argv = os.fsdecode((entry / "cmdline").read_bytes()).split("\0")
    if state in "ZX" or (os.geteuid() and entry.stat().st_uid != os.geteuid()):
        raise ValueError(entry)
    return int(parent), argv


def stop(processes: Iterable[Process], *, grace_s: float, force: bool = False) -> tuple[list[Process], list[Process]]:
    """End them: SIGTERM to the services (which end their children), and SIGKILL to what is left after the grace.

    Args:
        force: SIGKILL at once.
    Returns:
        (ended within the grace, killed or still there).
    """
    handles: dict[int, Process] = {}
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            handles[os.pidfd_open(process.pid)] = process
    deadline_at_s = time.monotonic() + grace_s
    try:
        left = set(handles)
        for is_told in () if force else _ROUNDS:
            told = {descriptor for descriptor in left if is_told(handles[descriptor])}
            for descriptor in told:
                if handles[descriptor].session_dir:
                    _signal(descriptor, signal.SIGTERM)
            left = (left - told) | _wait(told, deadline_at_s - time.monotonic())
        for descriptor in left:
            _signal(descriptor, signal.SIGKILL)
        if force:
            left = _wait(left, grace_s)
        else:
            _wait(left, KILL_S)
        return [handles[each] for each in handles if each not in left], [handles[each] for each in left]
    finally:
        for descriptor in handles:
            os.close(descriptor)


_ROUNDS: tuple[Callable[[Process], bool], ...] = (
    lambda process: process.name != GCS,
    lambda process: process.name == GCS,
)
"""The GCS goes last: raylets say goodbye to it, and would wait for its return otherwise."""


def _signal(descriptor: int, signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, signum)


def _wait(descriptors: set[int], timeout_s: float) -> set[int]:
    """Those that have not ended within the time."""
    left, deadline_at_s = set(descriptors), time.monotonic() + timeout_s
    poller = select.poll()
    for descriptor in left:
        poller.register(descriptor, select.POLLIN)
    while left and (wait_s := deadline_at_s - time.monotonic()) > 0:
        for descriptor, _ in poller.poll(wait_s * 1000):
            poller.unregister(descriptor)
            left.discard(descriptor)
    return left
