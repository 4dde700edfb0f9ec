"""The shared memory of this node: who has which part of it, and which objects lie there.

Floor: raylet, shell around `extents` and `objects`; `transfer` moves objects between nodes.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.raylet.extents import ExtentAllocator
from ray._core.raylet.objects import ObjectTable, Order, TellHolder
from ray._core.raylet.transfer import Transfer
from ray._core.wire import aio

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet


class ObjectManager:
    def __init__(self, raylet: Raylet, size: int) -> None:
        self._raylet = raylet
        self.extents = ExtentAllocator(size)
        self.table = ObjectTable()
        self.transfer = Transfer(raylet)
        self.handlers: dict[type, Any] = {
            m.AllocateSlab: self._allocate_slab,
            m.ReleaseSlab: lambda _, message: self._carry_out(self.table.release_slab(message.offset)),
            m.ObjectsSealed: self._sealed,
            m.FreeObjects: self._free,
            **self.transfer.handlers,
        }

    def _allocate_slab(self, connection: aio.Connection, request: m.AllocateSlab) -> None:
        extent = self.extents.allocate(request.size)
        if extent is None:
            text = f"{request.size} bytes do not fit: {self.extents.used} of {self.extents.size} are in use."
            connection.fail(request, "full", text)
            return
        self.table.add_slab(extent[0], connection)
        connection.reply(request, m.SlabGranted(offset=extent[0], size=extent[1]))

    def start(self, arena_path: str) -> None:
        """Map the arena, whose file exists by now."""
        with open(arena_path, "r+b") as file:
            self.transfer.start(mmap.mmap(file.fileno(), self.extents.size))

    def _sealed(self, _: aio.Connection, message: m.ObjectsSealed) -> None:
        for object_id, offset, size in message.objects:
            self._seal(object_id, offset, size)

    def _seal(self, object_id: bytes, offset: int, size: int) -> None:
        self._carry_out(self.table.sealed(object_id, offset, size))
        placed = self.table.objects.get(object_id)
        if placed is not None:
            self.transfer.sealed(object_id, placed)

    def adopt(self, object_id: bytes, offset: int, size: int) -> None:
        """A copy was pulled into the extent at `offset`."""
        self.table.add_slab(offset, None)
        self._seal(object_id, offset, size)

    def _free(self, _: aio.Connection, message: m.FreeObjects) -> None:
        if message.node_id not in (b"", self._raylet.node_id):
            self.transfer.forward(message.node_id, message)
            return
        for object_id in message.object_ids:
            self.free(object_id)

    def free(self, object_id: bytes) -> None:
        self._carry_out(self.table.free(object_id))

    def holder_gone(self, connection: aio.Connection) -> None:
        self._carry_out(self.table.holder_gone(connection))

    def _carry_out(self, orders: list[Order]) -> None:
        for order in orders:
            if isinstance(order, TellHolder):
                order.holder.send(m.SlabSpaceFreed([order.offset]))
            else:
                self.extents.free(order.offset)
                self.transfer.room_freed()
