"""Clocks and random bytes of modules that take them from the interpreter: virtual for the time of a simulation."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator
from typing import Any

from ray._core.worker import actors, gcs_client, invocation, lease_client, submitter, task_log
from simulation.loop import SimLoop, Violation

_TIMED: list[Any] = [gcs_client, invocation, lease_client, submitter, task_log]


class _Time:
    def __init__(self, loop: SimLoop) -> None:
        self.monotonic = self.perf_counter = self.time = loop.time
        self.time_ns = lambda: int(loop.time() * 1e9)


class _Os:
    """The module `os`, with seeded random bytes."""

    def __init__(self, loop: SimLoop) -> None:
        self.urandom = loop.random_for("urandom").randbytes

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


@contextlib.contextmanager
def real_modules_on_virtual_time(loop: SimLoop) -> Iterator[None]:
    """Also without garbage collection, which would drop references at moments that are no part of the history."""
    clock, system, end = _Time(loop), _Os(loop), os._exit
    before = [(module, module.time) for module in _TIMED]

    def ended(status: int) -> None:
        raise Violation(f"{loop.current!r} has called os._exit({status}).")

    for module in _TIMED:
        module.time = clock
    actors.os = system  # type: ignore[assignment]
    os._exit = ended  # type: ignore[assignment]
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        for module, time in before:
            module.time = time
        actors.os = os
        os._exit = end
        if was_collecting:
            gc.enable()
