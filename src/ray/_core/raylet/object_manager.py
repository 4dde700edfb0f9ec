"""The shared memory of this node: who has which part of it, and which objects lie there.

Floor: raylet, shell around `extents` and `objects`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.raylet.extents import ExtentAllocator
from ray._core.raylet.objects import ObjectTable, Order, TellHolder
from ray._core.wire import aio

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet


class ObjectManager:
    def __init__(self, raylet: Raylet, size: int) -> None:
        self._raylet = raylet
        self.extents = ExtentAllocator(size)
        self.table = ObjectTable()
        self.handlers: dict[type, Any] = {
            m.AllocateSlab: self._allocate_slab,
            m.ReleaseSlab: lambda _, message: self._carry_out(self.table.release_slab(message.offset)),
            m.ObjectsSealed: self._sealed,
            m.FreeObjects: self._free,
        }

    def _allocate_slab(self, connection: aio.Connection, request: m.AllocateSlab) -> None:
        extent = self.extents.allocate(request.size)
        if extent is None:
            text = f"{request.size} bytes do not fit: {self.extents.used} of {self.extents.size} are in use."
            connection.fail(request, "full", text)
            return
        self.table.add_slab(extent[0], connection)
        connection.reply(request, m.SlabGranted(offset=extent[0], size=extent[1]))

    def _sealed(self, _: aio.Connection, message: m.ObjectsSealed) -> None:
        for object_id, offset, size in message.objects:
            self._carry_out(self.table.sealed(object_id, offset, size))

    def _free(self, _: aio.Connection, message: m.FreeObjects) -> None:
        for object_id in message.object_ids:
            self._carry_out(self.table.free(object_id))

    def holder_gone(self, connection: aio.Connection) -> None:
        self._carry_out(self.table.holder_gone(connection))

    def _carry_out(self, orders: list[Order]) -> None:
        for order in orders:
            if isinstance(order, TellHolder):
                order.holder.send(m.SlabSpaceFreed([order.offset]))
            else:
                self.extents.free(order.offset)
