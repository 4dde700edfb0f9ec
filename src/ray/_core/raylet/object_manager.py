"""The shared memory of this node: who has which part of it, and which objects lie there.

Floor: raylet, shell around `extents` and `objects`; `transfer` moves objects between nodes, `spiller` to and from disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common import object_header
from ray._core.common.object_header import HEADER_SIZE
from ray._core.common.overflow import Overflow
from ray._core.raylet.extents import TieredExtents
from ray._core.raylet.giving import Giving
from ray._core.raylet.idle_memory import IdleMemory
from ray._core.raylet.objects import FOR_GOOD, Free, ObjectTable, Order, Placed, TellHolder
from ray._core.raylet.orphans import Orphans
from ray._core.raylet.peers import Peers
from ray._core.raylet.spiller import Spiller
from ray._core.raylet.transfer import Transfer
from ray._core.wire import aio
from ray._core.wire.background import Background

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet

FALLBACK_S = 0.5
"""When memory has not become free within this, though objects were to leave it, an object goes to disk itself."""

GIVE_BACK_STEP, GIVE_BACK_PAUSE_S = 32 << 20, 0.05
"""So many bytes go back to the system at a time (some ms of the event loop), and after that pause the next."""


class ObjectManager:
    def __init__(self, raylet: Raylet, size: int) -> None:
        self._raylet = raylet
        self.extents = TieredExtents(size)
        self._idle = IdleMemory(raylet.config.free_memory_kept_s)
        self._new: set[int] = set()
        """Extents not all of whose pages were there when they were taken."""
        self._giving_back: asyncio.TimerHandle | None = None
        self._overflow: Overflow | None = None
        self.table = ObjectTable()
        self.peers = Peers(raylet)
        self.transfer = Transfer(raylet)
        self.giving = Giving(raylet)
        self.spiller = Spiller(raylet, self, raylet.config.object_spilling_directory or raylet.settings["session_dir"])
        self.orphans = Orphans(raylet, self)
        self.processes: dict[aio.Connection, bytes] = {}
        """Drivers and workers of this node, which read and write the shared memory, and their worker ids."""
        self._living: set[bytes] = set()
        self._room = asyncio.Event()
        self._unsettled: dict[bytes, list[Callable[[], None]]] = {}
        self._background = Background()
        self.handlers: dict[type, Any] = {
            m.AllocateSlab: self._allocate_slab,
            m.ReleaseSlab: lambda _, message: self._carry_out(self.table.release_slab(message.offset)),
            m.ObjectsSealed: self._sealed,
            m.FreeObjects: self._free,
            m.FreeRest: self._free_rest,
            m.AddLocation: lambda _, message: self.tell_owner(message.owner_id, message),
            **self.transfer.handlers,
            **self.giving.handlers,
            **self.orphans.handlers,
        }

    def stats(self) -> m.StoreStats:
        """How full the shared memory is: of objects, not of the slabs that processes have room in."""
        spilled = self.spiller.table
        return m.StoreStats(
            self._raylet.node_id,
            self.extents.size,
            self.table.used_bytes,
            len(self.table.objects),
            sum(url.size for url in spilled.on_disk.values()),
            spilled.spilled_bytes,
            spilled.num_spilled,
            spilled.restored_bytes,
            self.extents.used,
            len(self.extents.live),
            self.extents.used_on_disk,
        )

    def _allocate_slab(self, connection: aio.Connection, request: m.AllocateSlab) -> None:
        offset = self._in_memory(request.size)
        if offset is not None:
            self._grant_slab(connection, request, offset)
            self._spill_early()
            return
        self._background.answer(connection, request, self._allocate_later(connection, request))

    async def _allocate_later(self, connection: aio.Connection, request: m.AllocateSlab) -> None:
        offset = await self.find_room(request.size, self._raylet.config.object_store_full_timeout_s)
        if offset is None:
            connection.fail(request, "full", f"{request.size} bytes do not fit: {self.why_full()}")
        elif connection.is_closed:
            self.release(offset)
        else:
            self._grant_slab(connection, request, offset)

    def _grant_slab(self, connection: aio.Connection, request: m.AllocateSlab, offset: int) -> None:
        self.table.add_slab(offset, connection, request.for_one)
        is_new = offset in self._new
        connection.reply(request, m.SlabGranted(offset=offset, size=self.extents.size_of(offset), is_new=is_new))

    # ---------------------------------------------------------- room

    async def find_room(self, size: int, timeout_s: float) -> int | None:
        """The offset of an extent of `size` bytes, once there is one; other objects go to disk for it.

        When they cannot, since all of them are being read, the extent itself is on disk. None: that is full, or there
        is none and no memory became free within `timeout_s`.
        """
        if size > self.extents.size:
            return self._find_room_on_disk(size)
        loop = asyncio.get_running_loop()
        deadline_at_s = loop.time() + (timeout_s if self._overflow is None else min(timeout_s, FALLBACK_S))
        while (offset := self._in_memory(size)) is None:
            room = self._room
            self._raylet.garbage.short_of_memory()
            self.spiller.make_room(size)
            try:
                await asyncio.wait_for(room.wait(), deadline_at_s - loop.time())
            except TimeoutError:
                return self._find_room_on_disk(size)
        return offset

    def _in_memory(self, size: int) -> int | None:
        """An extent of shared memory, if that is not too full, nor the file system that it lies in."""
        extent = self.extents.allocate(size)
        if extent is None:
            return None
        offset, taken = extent
        if not self._raylet.machine.reserve_memory(offset, taken):
            self.extents.free(offset)
            return None
        if not self._idle.taken(offset, taken):
            self._new.add(offset)
        return offset

    def _find_room_on_disk(self, size: int) -> int | None:
        extent = self.extents.allocate_on_disk(size)
        if extent is None or self._overflow is None:
            return None
        offset, taken = extent
        if self._overflow.reserve(offset - self.extents.start_of_disk, taken):
            return offset
        self.extents.free(offset)
        return None

    def release(self, offset: int) -> None:
        """Nothing lies in the extent any more."""
        size, inside = self.extents.free(offset), self.extents.on_disk(offset)
        self._new.discard(offset)
        if inside is None:
            self._idle.freed(offset, size, asyncio.get_running_loop().time())
            self._give_back_later()
        elif self._overflow is not None:
            self._overflow.release(inside, size)
        self.room_freed()

    def _give_back_later(self) -> None:
        due_s, loop = self._idle.due_s, asyncio.get_running_loop()
        if due_s is not None and self._giving_back is None:
            self._giving_back = loop.call_at(max(due_s, loop.time() + GIVE_BACK_PAUSE_S), self._give_back)

    def _give_back(self) -> None:
        """Memory in which nothing has lain for long goes back to the system."""
        self._giving_back = None
        for part in self._idle.take_due(asyncio.get_running_loop().time(), GIVE_BACK_STEP):
            self._raylet.machine.give_memory_back(*part)
        self._give_back_later()

    @property
    def overflow_path(self) -> str:
        return "" if self._overflow is None else self._overflow.path

    @property
    def overflow_size(self) -> int:
        return 0 if self._overflow is None else self._overflow.size

    def room_freed(self) -> None:
        """Whoever waits for memory looks again."""
        room, self._room = self._room, asyncio.Event()
        room.set()
        self.transfer.admit()

    def why_full(self) -> str:
        """For users: what the memory is full of, and what they can do."""
        used, size = self.extents.used / 2**20, self.extents.size / 2**20
        text = f"{used:.0f} of {size:.0f} MiB are in use by objects that are being read, or by holes between them"
        if self.spiller.failure:
            text = f"{used:.0f} of {size:.0f} MiB are in use, and spilling to disk fails: {self.spiller.failure}"
        return f"{text}. Drop values and refs that are no longer needed, or give the node more object_store_memory."

    def _spill_early(self) -> None:
        """Above the threshold, objects leave before somebody has to wait for that."""
        limit = int(self.extents.size * self._raylet.config.object_spilling_threshold)
        if self.extents.used > limit:
            self._raylet.garbage.short_of_memory()
            self.spiller.make_room(self.extents.used - limit)

    def start(self, arena_path: str) -> None:
        """Make and map the arena, and what is behind it."""
        directory = self._raylet.config.object_spilling_directory or self._raylet.settings["session_dir"]
        arena, self._overflow = self._raylet.machine.map_arena(arena_path, self.extents.size, directory)
        if self._overflow is not None:
            self.extents = TieredExtents(self.extents.size, self._overflow.size)
        self._arena = memoryview(arena)
        self.transfer.start(self._arena)
        self.giving.start(self._arena)
        self.spiller.start(arena)

    def node_died(self, node_id: bytes) -> None:
        self.peers.node_died(node_id)
        self.peers.nodes_changed()

    def unpin(self, offset: int) -> None:
        """One node less reads the object there."""
        self._carry_out(self.table.unpin(offset))

    def abandoned(self, extent: int) -> None:
        """The copy that was to come into this extent has not come."""
        self._carry_out(self.table.abandoned(extent, extent + HEADER_SIZE))

    def close(self) -> None:
        if self._giving_back is not None:
            self._giving_back.cancel()
        self.transfer.close()
        self.giving.close()
        self.peers.close()
        self.spiller.close()
        if self._overflow is not None:
            self._overflow.close()

    def _sealed(self, _: aio.Connection, message: m.ObjectsSealed) -> None:
        for object_id, offset, size in message.objects:
            self._seal(object_id, offset, size, message.attempt)
            if object_id in self.table.objects:
                self.orphans.came(object_id, message.owner_id, message.owner_node)

    def _seal(self, object_id: bytes, offset: int, size: int, attempt: int) -> None:
        if self.spiller.url(object_id) is not None and object_id not in self.table.objects:
            self.spiller.freed(object_id)  # of an earlier attempt of its task
        self._carry_out(self.table.sealed(object_id, offset, size, attempt))
        if object_id in self.table.objects:
            self.giving.came(object_id)

    def adopt(self, object_id: bytes, offset: int, size: int, attempt: int) -> None:
        """A copy was brought into the extent at `offset`, behind the room for its header."""
        object_header.write(self._arena[offset : offset + HEADER_SIZE], object_id)
        self.table.add_slab(offset, None)
        if self.spiller.url(object_id) is None:
            self._seal(object_id, offset + HEADER_SIZE, size, attempt)
        else:  # it is on disk too
            self._carry_out(self.table.sealed(object_id, offset + HEADER_SIZE, size, attempt))
            self.giving.came(object_id)

    def left(self, object_id: bytes, placed: Placed) -> None:
        """This copy of the object is on disk, or nobody wants it: its memory is free."""
        self._carry_out(self.table.drop(object_id, placed))

    def unwanted(self, object_id: bytes, placed: Placed) -> None:
        """Whoever wanted this copy has ended. Another one, in memory or on disk, may be what the owner counts on."""
        self.left(object_id, placed)
        if object_id not in self.table.objects and self.spiller.url(object_id) is None:
            self.orphans.table.freed(object_id)

    def when_settled(self, object_id: bytes, then: Callable[[], None]) -> None:
        """The object is leaving: call `then` once it has left, or stays."""
        self._unsettled.setdefault(object_id, []).append(then)

    def settled(self, object_ids: list[bytes]) -> None:
        """These objects were leaving; whoever asked for them meanwhile is answered now."""
        for object_id in object_ids:
            for then in self._unsettled.pop(object_id, ()):
                then()

    def _free(self, _: aio.Connection, message: m.FreeObjects) -> None:
        if message.node_id not in (b"", self._raylet.node_id):
            self.peers.forward(message.node_id, message)
            return
        for object_id in message.object_ids:
            self.free(object_id, Free(message.attempt, message.for_good))

    def _free_rest(self, _: aio.Connection, message: m.FreeRest) -> None:
        if message.node_id != self._raylet.node_id:
            self.peers.forward(message.node_id, message)
            return
        self.table.task_over(message.task_id, message.wanted)
        for object_id in set(self.orphans.table.of(message.owner_id)).difference(message.wanted):
            if object_id.startswith(message.task_id):
                self.free(object_id)

    def copied(self, object_id: bytes, owner: m.Address, where: m.StoreLocation) -> None:
        """A copy has come to this node, as its owner must know to free it."""
        message = m.AddLocation(object_id, where, owner.worker_id)
        if owner.node_id == self._raylet.node_id:
            self.tell_owner(owner.worker_id, message)
        else:
            self.peers.forward(owner.node_id, message)

    def tell_owner(self, owner_id: bytes, message: m.AddLocation) -> None:
        """To a process of this node; if it has ended, `orphans` sees to its objects."""
        for connection, worker_id in self.processes.items():
            if worker_id == owner_id:
                connection.send(message)

    def free(self, object_id: bytes, free: Free = FOR_GOOD) -> None:
        if not self.spiller.freed(object_id, free):
            return
        if object_id in self.table.objects or not self.orphans.table.knows(object_id):  # else it was only on disk
            self._carry_out(self.table.free(object_id, free))
        if object_id not in self.table.objects and self.spiller.url(object_id) is None:
            self.orphans.table.freed(object_id)

    def lives(self, worker_id: bytes) -> bool:
        """Whether this driver or worker is of this node, and has not ended."""
        return worker_id in self._living

    def process_joined(self, connection: aio.Connection, worker_id: bytes) -> None:
        self.processes[connection] = worker_id
        self._living.add(worker_id)

    def connection_lost(self, connection: aio.Connection) -> None:
        """Of a process of this node, or of another raylet."""
        self.giving.connection_lost(connection)
        self._carry_out(self.table.holder_gone(connection))
        worker_id = self.processes.pop(connection, None)
        if worker_id is not None:
            self._living.discard(worker_id)
            self.orphans.process_ended(worker_id)

    def _carry_out(self, orders: list[Order]) -> None:
        self._raylet.leases.reporter.report()  # the use of the store may have changed
        for order in orders:
            if isinstance(order, TellHolder):
                order.holder.send(m.SlabSpaceFreed([order.offset]))
            else:
                self.release(order.offset)
