"""Moves objects between the shared memory and external storage when memory is short.

Floor: raylet, shell around `spill_table`. The rounds of one spilling: choose, mark the headers, ask all processes of
the node for their views, write what nobody views, give the memory up.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ray._core.common import messages as m
from ray._core.common import object_header
from ray._core.common.object_header import HEADER_SIZE
from ray._core.raylet.external_storage import storage_of
from ray._core.raylet.objects import Placed
from ray._core.raylet.spill_table import Batch, SpillTable, Url
from ray._core.wire import aio

if TYPE_CHECKING:
    from ray._core.raylet.object_manager import ObjectManager
    from ray._core.raylet.server import Raylet

logger = logging.getLogger(__name__)
VOTE_S = 5.0
"""A process that does not answer by then keeps its views: nothing of the batch leaves."""
PAUSE_S = 0.05
"""After a round in which everything was refused: views may go meanwhile."""


class Spiller:
    def __init__(self, raylet: Raylet, objects: ObjectManager, directory: str) -> None:
        config = raylet.config
        self.table = SpillTable(config.max_fused_object_count)
        self._raylet = raylet
        self._objects = objects
        self._map: mmap.mmap
        self._view: memoryview
        self._storage = storage_of(config.object_spilling_config, directory, raylet.node_id.hex())
        self._threads = ThreadPoolExecutor(config.max_io_workers, thread_name_prefix="ray-spill")
        self._needed = 0
        self._task: asyncio.Task[None] | None = None
        self.failure = ""
        """Why the last attempt to write failed; "" when it did not."""

    def __repr__(self) -> str:
        return f"<Spiller {self.table!r} needed={self._needed}>"

    def start(self, arena: mmap.mmap) -> None:
        self._map, self._view = arena, memoryview(arena)

    def close(self) -> None:
        """What was spilled is of no use to anybody after the node."""
        self._threads.shutdown(cancel_futures=True)
        self._storage.destroy()

    # ---------------------------------------------------------- out

    def make_room(self, size: int) -> None:
        """Memory for `size` bytes is wanted, and there is none."""
        if not self._raylet.config.automatic_object_spilling_enabled:
            return
        self._needed = max(self._needed, size)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._spill())

    async def _spill(self) -> None:
        """Rounds until the memory that is wanted is there, or nothing can leave."""
        config, objects = self._raylet.config, self._objects
        while self._needed:
            needed, self._needed = self._needed, 0
            batch = self.table.choose(objects.table.objects, objects.extents.live, needed, config.min_spilling_size)
            if batch is None:
                await asyncio.sleep(PAUSE_S)
                objects.room_freed()  # whoever waits looks again, and asks again or gives up
                continue
            try:
                await self._carry_out(batch)
            except OSError as error:
                self.failure = str(error)
                logger.error("Objects could not be spilled: %s", error)
                await asyncio.sleep(PAUSE_S)
            finally:
                self._end(batch)
                objects.room_freed()

    async def _carry_out(self, batch: Batch) -> None:
        for placed in batch.objects.values():
            object_header.set_leaving(self._header(placed), True)
        refused = await self._vote(list(batch.objects))
        stay = {object_id: batch.objects[object_id] for object_id in refused if object_id in batch.objects}
        for object_id in self.table.voted(batch, refused):
            object_header.set_leaving(self._header(stay[object_id]), False)
        start_s, wanted = time.monotonic(), self.table.to_write(batch)
        if wanted:
            data = {object_id: self._bytes(placed) for object_id, placed in wanted.items()}
            loop = asyncio.get_running_loop()
            try:
                urls = await loop.run_in_executor(self._threads, self._storage.spill, data)
            except OSError:
                for placed in batch.objects.values():
                    object_header.set_leaving(self._header(placed), False)
                batch.objects.clear()
                raise
            self.failure = ""
            self.table.written(batch, urls)
            size = sum(url.size for url in urls.values())
            seconds = time.monotonic() - start_s
            logger.info("Spilled %d objects, %.1f MiB, in %.2f s.", len(urls), size / 2**20, seconds)
        for object_id, placed in batch.objects.items():
            object_header.clear(self._header(placed))
            self._objects.left(object_id)

    def _end(self, batch: Batch) -> None:
        """The objects of the batch are where they are: what waited for them, and frees that came meanwhile, go on."""
        everything = list(batch.objects)
        for object_id in self.table.ended(batch):
            self._objects.free(object_id)
        self._objects.settled(everything)

    async def _vote(self, object_ids: list[bytes]) -> set[bytes]:
        """Objects that some process of this node has views of."""
        loop = asyncio.get_running_loop()
        asked = [connection.request(m.ProposeSpill(object_ids=object_ids)) for connection in self._objects.processes]
        if not asked:
            return set()
        done, silent = await asyncio.wait([asyncio.ensure_future(each, loop=loop) for each in asked], timeout=VOTE_S)
        if silent:
            return set(object_ids)
        refused: set[bytes] = set()
        for each in done:
            problem = each.exception()
            if problem is None:
                refused.update(each.result().refused)
            elif not isinstance(problem, aio.ConnectionLost):  # a process that has ended views nothing
                raise problem
        return refused

    # ---------------------------------------------------------- back

    async def restore(self, object_id: bytes, target: memoryview, start: int = 0) -> str | None:
        """Fill `target` with the object's bytes. None: done; else what went wrong."""
        url = self.table.on_disk.get(object_id)
        if url is None:
            return "it is not on disk any more"
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, self._storage.restore, url, target, start)
        except OSError as error:
            return f"its spilled copy {url} could not be read: {error}"
        self.table.restored_bytes += target.nbytes
        return None

    async def read(self, object_id: bytes, start: int, length: int) -> bytes | None:
        """A part of a spilled object, for another node; None when it cannot be had."""
        target = bytearray(length)
        return None if await self.restore(object_id, memoryview(target), start) is not None else bytes(target)

    def url(self, object_id: bytes) -> Url | None:
        return self.table.on_disk.get(object_id)

    def is_leaving(self, object_id: bytes) -> bool:
        return self.table.is_leaving(object_id)

    # ---------------------------------------------------------- frees

    def freed(self, object_id: bytes) -> bool:
        """An owner frees an object. False: its memory is in use here, and is freed when that ends."""
        may_free, path = self.table.freed(object_id)
        if path is not None:
            self._threads.submit(self._delete, path)
        return may_free

    def _delete(self, path: str) -> None:
        try:
            self._storage.delete(path)
        except OSError as error:
            logger.warning("The spilled file %s could not be deleted: %s", path, error)

    # ---------------------------------------------------------- inside

    def _header(self, placed: Placed) -> memoryview:
        return self._view[placed.offset - HEADER_SIZE : placed.offset]

    def _bytes(self, placed: Placed) -> memoryview:
        return self._view[placed.offset : placed.offset + placed.size]
