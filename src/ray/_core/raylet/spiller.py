"""Moves objects between the shared memory and external storage when memory is short.

Floor: raylet, shell around `spill_table`. The rounds of one spilling: choose, mark the headers, ask all processes of
the node for their views, write what nobody views, give the memory up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mmap
import time
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from ray._core.common import messages as m
from ray._core.common import object_header
from ray._core.common.object_header import HEADER_SIZE
from ray._core.raylet.bulk import SpilledSource
from ray._core.raylet.external_storage import FileStorage, storage_of
from ray._core.raylet.objects import FOR_GOOD, Free, Placed
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
        parents = self._storage.parents if isinstance(self._storage, FileStorage) else []
        self._raylet.machine.remove_leftovers(self._raylet.settings["session_dir"], parents)

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
            table, sizes = objects.table, objects.extents.live
            batch = self.table.choose(table.objects, sizes, needed, config.min_spilling_size, staying=table.older)
            if batch is None:
                await asyncio.sleep(PAUSE_S)
                objects.room_freed()  # whoever waits looks again, and asks again or gives up
                continue
            try:
                async with self._leaving(batch):
                    await self._write(batch)
            except Exception as error:  # whatever the storage raises: the objects are safe where they are
                self.failure = str(error) or type(error).__name__
                logger.error("Objects could not be spilled: %s", self.failure, exc_info=not isinstance(error, OSError))
                await asyncio.sleep(PAUSE_S)
            finally:
                objects.room_freed()

    @contextlib.asynccontextmanager
    async def _leaving(self, batch: Batch) -> AsyncIterator[None]:
        """Inside, nobody reads the objects of the batch any more; those with readers are not of it. They are gone
        from the memory afterwards, or, if anything goes wrong, all there as before."""
        everything = batch.objects.copy()
        try:
            for placed in everything.values():
                object_header.set_leaving(self._header(placed), True)
            refused = await self._vote(list(everything))
            refused.update(filter(self._objects.table.is_pinned, everything))
            for object_id in self.table.voted(batch, refused):
                object_header.set_leaving(self._header(everything[object_id]), False)
            yield
            for object_id, placed in batch.objects.items():
                object_header.clear(self._header(placed))
                self._objects.left(object_id, placed)
        except BaseException:
            for placed in batch.objects.values():
                object_header.set_leaving(self._header(placed), False)
            raise
        finally:
            for object_id, free in self.table.ended(batch).items():
                self._objects.free(object_id, free)
            self._objects.settled(list(everything))

    async def _write(self, batch: Batch) -> None:
        start_s, wanted = time.monotonic(), self.table.to_write(batch)
        if not wanted:
            return
        data = {object_id: self._bytes(placed) for object_id, placed in wanted.items()}
        loop = asyncio.get_running_loop()
        urls = await loop.run_in_executor(self._threads, self._storage.spill, data)
        self.failure = ""
        self.table.written(batch, urls)
        size = sum(url.size for url in urls.values())
        logger.info("Spilled %d objects, %.1f MiB, in %.2f s.", len(urls), size / 2**20, time.monotonic() - start_s)

    async def discard(self, object_ids: Iterable[bytes]) -> list[bytes]:
        """Free objects that have no owner any more, and return those that stay, since somebody reads them now."""
        objects = self._objects.table.objects
        busy = [object_id for object_id in object_ids if self.is_leaving(object_id)]
        idle = [object_id for object_id in object_ids if not self.is_leaving(object_id)]
        batch = self.table.take({object_id: objects[object_id] for object_id in idle if object_id in objects})
        async with self._leaving(batch):
            batch.freed.update(dict.fromkeys(batch.objects, FOR_GOOD))
        for object_id in idle:
            if object_id not in objects and self.url(object_id) is not None:
                self._objects.free(object_id)
        return busy + [object_id for object_id in idle if object_id in objects]

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
        except Exception as error:  # whatever the storage raises
            return f"its spilled copy {url} could not be read: {error!r}"
        self.table.restored_bytes += target.nbytes
        return None

    async def read(self, object_id: bytes, start: int, length: int) -> bytes | None:
        """A part of a spilled object, for another node; None when it cannot be had."""
        target = bytearray(length)
        return None if await self.restore(object_id, memoryview(target), start) is not None else bytes(target)

    def source(self, object_id: bytes) -> SpilledSource | None:
        """A spilled object for other nodes, to be read by threads."""
        url = self.url(object_id)
        return None if url is None else SpilledSource(url.size, partial(self._storage.restore, url))

    def url(self, object_id: bytes) -> Url | None:
        return self.table.on_disk.get(object_id)

    def is_leaving(self, object_id: bytes) -> bool:
        return self.table.is_leaving(object_id)

    # ---------------------------------------------------------- frees

    def freed(self, object_id: bytes, free: Free = FOR_GOOD) -> bool:
        """An owner frees an object. False: its memory is in use here, and is freed when that ends."""
        may_free, path = self.table.freed(object_id, free)
        if path is not None:
            self._threads.submit(self._delete, path)
        return may_free

    def _delete(self, path: str) -> None:
        try:
            self._storage.delete(path)
        except Exception as error:  # whatever the storage raises; the node's end will try once more
            logger.warning("The spilled file %s could not be deleted: %r", path, error)

    # ---------------------------------------------------------- inside

    def _header(self, placed: Placed) -> memoryview:
        return self._view[placed.offset - HEADER_SIZE : placed.offset]

    def _bytes(self, placed: Placed) -> memoryview:
        return self._view[placed.offset : placed.offset + placed.size]
