"""When the processes of this node, or of all nodes, look for garbage: refs and handles that cycles keep alive.

Floor: raylet, shell. A ref or an actor's handle in a reference cycle is freed only by Python's collector, which knows
nothing of shared memory and CPUs. So it is asked for when these run short, and now and then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.raylet.throttle import Throttle

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet

PATIENCE_S = 5.0
"""An actor that waits longer may wait for one that only garbage refers to."""


class GarbageCollection:
    def __init__(self, raylet: Raylet) -> None:
        config = raylet.config
        self._raylet = raylet
        self._everywhere = Throttle(config.global_gc_min_interval_s)
        self._here = Throttle(config.local_gc_min_interval_s)
        self._later: asyncio.TimerHandle | None = None
        self._wait: asyncio.TimerHandle | None = None
        self.handlers: dict[type, Any] = {m.CollectGarbage: lambda connection, message: self._soon()}

    def start(self) -> None:
        self._in(self._raylet.config.local_gc_interval_s)

    def short_of_memory(self) -> None:
        """An object does not fit into the shared memory, or soon will not."""
        if not self._raylet.gcs.is_away and self._everywhere.passes(self._now_s()):
            self._raylet.gcs.send(m.CollectGarbage())  # which sends it to all nodes, to this one too

    def actors_wait(self) -> None:
        """Called often, while actors wait for resources."""
        if self._wait is None:
            self._wait = asyncio.get_running_loop().call_later(PATIENCE_S, self._look)

    def _look(self) -> None:
        self._wait = None
        if self._raylet.leases.has_waiting_actors():
            self.short_of_memory()
            self.actors_wait()

    # ---------------------------------------------------------- this node

    def _soon(self) -> None:
        if self._here.passes(now_s := self._now_s()):
            self._collect()
        else:
            self._in(self._here.open_at_s - now_s)

    def _collect(self) -> None:
        for core in self._raylet.state.cores:
            core.send(m.CollectGarbage())
        self._in(self._raylet.config.local_gc_interval_s)

    def _in(self, delay_s: float) -> None:
        """Collect after this time, instead of when it was to be."""
        if self._later is not None:
            self._later.cancel()
        self._later = asyncio.get_running_loop().call_later(delay_s, self._soon)

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()
