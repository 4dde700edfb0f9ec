"""Coordination of tests with what runs in other processes. Nothing here needs Ray to be right, except `Signal`."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

DEADLINE_S = float(os.environ.get("RAY_TEST_DEADLINE_S", "30"))
POLL_S = 0.01


def wait_until(predicate: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
    """Poll until `predicate` gives something true and return that; AssertionError when the deadline passes."""
    end_at_s = time.monotonic() + deadline_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end_at_s:
            raise AssertionError(f"{predicate} was not true within {deadline_s} s; last value {value!r}")
        time.sleep(POLL_S)


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Gate:
    """A file: closed until it exists. Picklable, and independent of what is being tested."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def open(self) -> None:
        Path(self._path).touch()

    def is_open(self) -> bool:
        return os.path.exists(self._path)

    def wait(self, deadline_s: float = DEADLINE_S) -> str:
        wait_until(self.is_open, deadline_s)
        return "passed"

    def other(self, name: str) -> "Gate":
        """A second gate beside this one."""
        return Gate(Path(f"{self._path}-{name}"))


class Tally:
    """A file in which everyone who passes leaves one byte. Counts across crashes."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def add(self) -> int:
        """Count one more and return how many there are (exact as long as callers do not race)."""
        handle = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        try:
            os.write(handle, b".")
        finally:
            os.close(handle)
        return self.count()

    def count(self) -> int:
        return os.path.getsize(self._path) if os.path.exists(self._path) else 0


@ray.remote(num_cpus=0)
class Signal:
    """Everyone waits until somebody sends."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._waiting = 0

    async def send(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        self._waiting += 1
        await self._event.wait()

    async def waiting(self) -> int:
        return self._waiting
