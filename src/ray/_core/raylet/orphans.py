"""Frees what owners leave behind that have ended: a driver that went or was killed, a worker that died.

Floor: raylet, shell around `owners`. The end of a process of this node is seen here; for an owner on another node its
raylet is asked to tell (`AwaitOwnerEnd`, an open request per owner), and a node that dies ends all its processes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.raylet.owners import OwnerTable
from ray._core.wire import aio
from ray._core.wire.background import Background

if TYPE_CHECKING:
    from ray._core.raylet.object_manager import ObjectManager
    from ray._core.raylet.server import Raylet

logger = logging.getLogger(__name__)
ASK_AGAIN_S = 1.0
"""After the connection to an owner's raylet broke, though the node is not known to be dead."""
LOOK_AGAIN_S = (0.5, 1.0, 2.0, 5.0)
"""While somebody still reads an object whose owner has ended; the last one again and again."""


class Orphans:
    def __init__(self, raylet: Raylet, objects: ObjectManager) -> None:
        self.table = OwnerTable()
        self._raylet = raylet
        self._objects = objects
        self._watched: set[bytes] = set()
        """Owners on other nodes whose raylets will tell of their end."""
        self._waiting: dict[bytes, list[tuple[aio.Connection, m.AwaitOwnerEnd]]] = {}
        self._background = Background()
        self.handlers: dict[type, Any] = {m.AwaitOwnerEnd: self._await_end}

    def __repr__(self) -> str:
        return f"<Orphans {self.table!r} watched={len(self._watched)}>"

    def came(self, object_id: bytes, owner_id: bytes, node_id: bytes) -> None:
        """An object of the process `owner_id` on `node_id` has come to this node."""
        self.table.came(object_id, owner_id)
        if node_id == self._raylet.node_id:
            if not self._objects.lives(owner_id):  # a task ran for it to the end
                self._background.start(self._discard([object_id]))
        elif owner_id not in self._watched:
            self._watched.add(owner_id)
            self._background.start(self._watch(owner_id, node_id))

    def process_ended(self, owner_id: bytes) -> None:
        """A driver or worker of this node has ended."""
        for connection, request in self._waiting.pop(owner_id, ()):
            connection.reply(request)
        self._owner_ended(owner_id)

    def _await_end(self, connection: aio.Connection, request: m.AwaitOwnerEnd) -> None:
        if self._objects.lives(request.owner_id):
            waiting = self._waiting.setdefault(request.owner_id, [])
            waiting[:] = [other for other in waiting if not other[0].is_closed]
            waiting.append((connection, request))
        else:
            connection.reply(request)

    async def _watch(self, owner_id: bytes, node_id: bytes) -> None:
        peers, dead = self._objects.peers, self._raylet.leases.view.dead
        while node_id not in dead:
            try:
                connection = await peers.connect(node_id)
                await connection.request(m.AwaitOwnerEnd(owner_id=owner_id))
            except OSError:
                await asyncio.sleep(ASK_AGAIN_S)
            else:
                break
        self._watched.discard(owner_id)  # what still comes for it, out of tasks that run here, is asked for anew
        self._owner_ended(owner_id)

    def _owner_ended(self, owner_id: bytes) -> None:
        object_ids = self.table.of(owner_id)
        if object_ids:
            logger.info("The owner of %d objects, %s, has ended: they are freed.", len(object_ids), owner_id.hex())
            self._background.start(self._discard(object_ids))

    async def _discard(self, object_ids: Iterable[bytes]) -> None:
        """Free them; those that a process of this node still reads, once it does not."""
        delays = iter(LOOK_AGAIN_S)
        delay_s = 0.0
        while left := await self._objects.spiller.discard(object_ids):
            object_ids = left
            delay_s = next(delays, delay_s)
            await asyncio.sleep(delay_s)
