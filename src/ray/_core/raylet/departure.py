"""Ends a node that is drained, once nothing is left on it. Floor: raylet, shell.

A head stays, and so does a node with a driver: they end with their session. What keeps a node has many ends (leases,
actors, bundles, objects), and being drained is rare, so it is looked at now and then.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ray._core.common import messages as m

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet

logger = logging.getLogger(__name__)
LOOK_EVERY_S = 0.2


class Departure:
    """`reason`, `message`: what the GCS is told when the node ends by intent."""

    def __init__(self, raylet: Raylet) -> None:
        self._raylet = raylet
        self.reason = "EXPECTED_TERMINATION"
        self.message = "The node was stopped."
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Departure {self.reason}>"

    def begin(self, order: m.SetDraining) -> None:
        """Leave as soon as nothing is left here; again: with other words."""
        if self._raylet.node.is_head:
            return
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._leave_when_idle(order))

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _leave_when_idle(self, order: m.SetDraining) -> None:
        while not self.is_idle():
            await asyncio.sleep(LOOK_EVERY_S)
        self.reason, self.message = order.reason, order.message
        logger.info("The raylet ends: the node was drained (%s), and nothing is left on it.", order.message)
        self._raylet.stop.set()

    def is_idle(self) -> bool:
        raylet, scheduler = self._raylet, self._raylet.leases.scheduler
        return (
            scheduler.available == scheduler.total
            and not raylet.objects.table.objects
            and not any(worker.lease_id or worker.hosted for worker in raylet.pool.workers.values())
            and not any(core.is_driver for core in raylet.state.cores.values())
        )
