"""Looks at the memory of the machine now and then, and ends work before the kernel ends something at random.

Floor: raylet, shell around `memory_policy`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ray._core.common import messages as m
from ray._core.raylet.memory_policy import Candidate, Usage, choose_victim, usage_of
from ray._core.raylet.workers import Worker

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet

logger = logging.getLogger(__name__)
_CGROUP = Path("/sys/fs/cgroup")
_PAGE = os.sysconf("SC_PAGE_SIZE")
TOP = 10
"""Processes that the error lists."""


class MemoryMonitor:
    """`memory_monitor_refresh_ms` 0 switches it off."""

    def __init__(self, raylet: Raylet) -> None:
        self._raylet = raylet
        self._ending: bytes = b""
        """Who was ended last: until it is gone nobody else is."""

    def start(self) -> None:
        if self._raylet.config.memory_monitor_refresh_ms > 0:
            self._later()

    def _later(self) -> None:
        period_s = self._raylet.config.memory_monitor_refresh_ms / 1000
        asyncio.get_running_loop().call_later(period_s, self._look)

    def _look(self) -> None:
        self._later()
        usage, threshold = read_usage(), self._raylet.config.memory_usage_threshold
        if usage.share <= threshold or self._ending in self._raylet.pool.workers:
            return
        candidates = [self._candidate(worker) for worker in self._raylet.pool.workers.values() if worker.lease_id]
        victim = choose_victim(candidates)
        if victim is not None:
            self._end(self._raylet.pool.workers[victim.worker_id], usage, threshold)

    def _candidate(self, worker: Worker) -> Candidate:
        is_actor = worker.hosted is not None
        group = worker.worker_id if is_actor else worker.owner
        return Candidate(worker.worker_id, group, worker.is_retriable, worker.working_since_s)

    def _end(self, worker: Worker, usage: Usage, threshold: float) -> None:
        """Tell the owner why, before the connection breaks; then kill."""
        node = self._raylet.node
        cause = (
            f"The memory of node {node.node_id.hex()} ({node.host}) ran low: {usage.used / 2**30:.2f} of "
            f"{usage.total / 2**30:.2f} GiB ({usage.share:.2f}) were in use, above the threshold of {threshold:g}. So "
            f"the worker {worker.worker_id.hex()} (pid {worker.pid}) was killed, which had started last. Give tasks "
            "more CPUs or memory (num_cpus, memory) so that fewer run at once, or the node more memory; "
            f"RAY_memory_usage_threshold moves the threshold.\n{top_processes()}"
        )
        logger.warning("%s", cause)
        self._ending = worker.worker_id
        worker.exit_kind, worker.exit_note = "OUT_OF_MEMORY", cause
        if worker.owner is not None:
            worker.owner.send(m.WorkerExited(worker.worker_id, "OUT_OF_MEMORY", cause))
        asyncio.get_running_loop().call_soon(self._raylet.kill, worker, cause)  # behind what is sent in this turn


def read_usage() -> Usage:
    return usage_of(
        Path("/proc/meminfo").read_text(),
        _read(_CGROUP / "memory.max"),
        _read(_CGROUP / "memory.current"),
        _read(_CGROUP / "memory.stat"),
    )


def _read(path: Path) -> str:
    """ "" for what this system does not have."""
    try:
        return path.read_text()
    except OSError:
        return ""


def top_processes() -> str:
    """The largest processes of this machine, a line each."""
    rows = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            pages = int((directory / "statm").read_text().split()[1])
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (OSError, IndexError):  # it has ended
            continue
        rows.append((pages * _PAGE, int(directory.name), command))
    rows.sort(reverse=True)
    lines = [f"{pid}\t{size / 2**30:.2f}\t{command[:120]}" for size, pid, command in rows[:TOP]]
    return "\n".join(["PID\tMEM(GB)\tCOMMAND", *lines])
