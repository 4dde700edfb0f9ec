"""Objects from and to other nodes: chunks out of this arena, pulls into it.

Floor: raylet, shell. Processes of this node ask for a copy (`PullObject`); all who ask for one object share one
transfer. The raylets of nodes that have a copy answer `FetchChunk`. The owner decides which copies live how long.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import mmap
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common.object_header import HEADER_SIZE
from ray._core.raylet.objects import Placed
from ray._core.wire import aio, auth

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet

logger = logging.getLogger(__name__)
CHUNKS_IN_FLIGHT = 4
"""Chunks asked for and not there yet, per pull: enough to keep both ends busy (measured on loopback)."""
SEALING_S = 2.0
"""A chunk of an unknown object is refused only after this: the word that it exists may come by another connection."""
JOINING_S = 2.0
"""Likewise a node that this raylet has not heard of yet."""
ROOM_S = 30.0
"""How long a pull waits for free memory before it fails."""


@dataclasses.dataclass(eq=False, slots=True)
class Pull:
    """One object on its way here, and who waits for it."""

    object_id: bytes
    owner: m.Address
    size: int
    sources: list[bytes]
    waiting: list[tuple[aio.Connection, m.PullObject]]
    tried: set[bytes] = dataclasses.field(default_factory=set)


class Transfer:
    def __init__(self, raylet: Raylet) -> None:
        self._raylet = raylet
        self._map: mmap.mmap
        self._pulls: dict[bytes, Pull] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._raylets: dict[bytes, asyncio.Task[aio.Connection]] = {}
        self._expected: dict[bytes, list[tuple[aio.Connection, m.FetchChunk]]] = {}
        self._unsettled: dict[bytes, list[tuple[aio.Connection, m.PullObject]]] = {}
        self._news = asyncio.Event()
        self.handlers: dict[type, Any] = {m.PullObject: self._pull, m.FetchChunk: self._fetch}

    def __repr__(self) -> str:
        return f"<Transfer pulls={len(self._pulls)} peers={len(self._raylets)}>"

    def start(self, arena: mmap.mmap) -> None:
        self._map = arena

    # ---------------------------------------------------------- giving

    def _fetch(self, connection: aio.Connection, request: m.FetchChunk) -> None:
        placed = self._raylet.objects.table.objects.get(request.object_id)
        if placed is not None:
            self._give(connection, request, placed)
            return
        if self._raylet.objects.spiller.url(request.object_id) is not None:
            self._start(self._give_from_disk(connection, request))
            return
        self._expected.setdefault(request.object_id, []).append((connection, request))
        asyncio.get_running_loop().call_later(SEALING_S, self._refuse, request.object_id)

    def _give(self, connection: aio.Connection, request: m.FetchChunk, placed: Placed) -> None:
        start, length = request.start, min(request.length, placed.size - request.start)
        if start < 0 or length < 0:
            connection.fail(request, "lost", f"The object has {placed.size} bytes, there are none at {start}.")
            return
        # A copy: the object may be freed, and its memory used anew, before the socket has taken everything.
        payload = self._map[placed.offset + start : placed.offset + start + length]
        connection.send(m.Chunk(start=start, rid=request.rid), payload)

    async def _give_from_disk(self, connection: aio.Connection, request: m.FetchChunk) -> None:
        """A spilled object is not brought back for others: that would take memory from this node's own work."""
        spiller = self._raylet.objects.spiller
        url = spiller.url(request.object_id)
        length = 0 if url is None else min(request.length, url.size - request.start)
        payload = await spiller.read(request.object_id, request.start, length) if length > 0 else None
        if payload is None:
            connection.fail(request, "lost", "The spilled copy of this node could not be read.")
        else:
            connection.send(m.Chunk(start=request.start, rid=request.rid), payload)

    def _refuse(self, object_id: bytes) -> None:
        for connection, request in self._expected.pop(object_id, ()):
            connection.fail(request, "lost", "This node has no copy of the object.")

    def sealed(self, object_id: bytes, placed: Placed) -> None:
        """An object can be read: whoever has asked for it too early gets it now."""
        for connection, request in self._expected.pop(object_id, ()):
            self._give(connection, request, placed)

    # ---------------------------------------------------------- taking

    def _pull(self, connection: aio.Connection, request: m.PullObject) -> None:
        objects = self._raylet.objects
        if objects.spiller.is_leaving(request.object_id):
            self._unsettled.setdefault(request.object_id, []).append((connection, request))
            return
        placed = objects.table.objects.get(request.object_id)
        if placed is not None:
            connection.reply(request, m.ObjectLocal(offset=placed.offset, size=placed.size))
            return
        own_id = self._raylet.node_id  # named when the owner has not heard yet that the copy here is gone
        sources = [where.node_id for where in request.locations if where.node_id != own_id]
        pull = self._pulls.get(request.object_id)
        if pull is not None:
            pull.waiting.append((connection, request))
            pull.sources += [node_id for node_id in sources if node_id not in pull.sources]
            return
        pull = Pull(request.object_id, request.owner, request.locations[0].size, sources, [(connection, request)])
        self._pulls[request.object_id] = pull
        self._raylet.objects.table.expected(request.object_id)
        self._start(self._carry_out(pull))

    def settled(self, object_ids: list[bytes]) -> None:
        """These objects were about to leave the memory, and have left it or stay."""
        for object_id in object_ids:
            for connection, request in self._unsettled.pop(object_id, ()):
                self._pull(connection, request)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, pull: Pull) -> None:
        objects = self._raylet.objects
        try:
            offset = await objects.find_room(pull.size + HEADER_SIZE, ROOM_S)
            if offset is None:
                self._fail(pull, "full", f"{pull.size} bytes did not fit within {ROOM_S:g} s: {objects.why_full()}")
                return
            problem = await self._bring(pull, offset + HEADER_SIZE)
            if problem is not None:
                objects.release(offset)
                objects.room_freed()
                self._fail(pull, "lost", problem)
                return
            objects.adopt(pull.object_id, offset, pull.size)
            objects.orphans.came(pull.object_id, pull.owner.worker_id, pull.owner.node_id)
            placed = objects.table.objects[pull.object_id]
            wanted = [(connection, request) for connection, request in pull.waiting if not connection.is_closed]
            for connection, request in wanted:
                connection.reply(request, m.ObjectLocal(offset=placed.offset, size=placed.size))
            if not wanted:
                objects.free(pull.object_id)  # nobody is left who would tell its owner of this copy
        finally:
            del self._pulls[pull.object_id]

    def _fail(self, pull: Pull, kind: str, text: str) -> None:
        for connection, request in pull.waiting:
            connection.fail(request, kind, text)

    async def _bring(self, pull: Pull, offset: int) -> str | None:
        """From this node's disk, or from another node. None: it is there; else what went wrong."""
        spiller = self._raylet.objects.spiller
        if spiller.url(pull.object_id) is not None:
            target = memoryview(self._map)[offset : offset + pull.size]
            problem = await spiller.restore(pull.object_id, target)
            if problem is None:
                return None
            logger.warning("Object %s: %s", pull.object_id.hex(), problem)
        return await self._copy_from_any(pull, offset)

    async def _copy_from_any(self, pull: Pull, offset: int) -> str | None:
        """Try each node that has a copy. None: it is there; else what went wrong at the last."""
        problem = "no node has a copy"
        while pull.sources:
            node_id = pull.sources.pop(0)
            if node_id in pull.tried:
                continue
            pull.tried.add(node_id)
            try:
                connection = await self.connect(node_id)
                await self._copy(connection, pull, offset)
            except (aio.RequestFailed, OSError) as error:
                problem = f"node {node_id.hex()}: {error}"
                logger.warning("Object %s could not be pulled from %s", pull.object_id.hex(), problem)
            else:
                return None
        return problem

    async def _copy(self, connection: aio.Connection, pull: Pull, offset: int) -> None:
        step = self._raylet.config.fetch_chunk_size
        starts = iter(range(0, pull.size, step))

        async def one_after_another() -> None:
            for start in starts:
                request = m.FetchChunk(object_id=pull.object_id, start=start, length=min(step, pull.size - start))
                _, payload = await connection.request(request)
                if len(payload) != request.length:
                    raise aio.RequestFailed("lost", "the copy there is shorter than its owner says")
                self._map[offset + start : offset + start + len(payload)] = payload

        streams = min(CHUNKS_IN_FLIGHT, -(-pull.size // step))
        tasks = [asyncio.ensure_future(one_after_another()) for _ in range(streams)]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)  # none of them writes any more once the memory is given to others
            raise

    # ---------------------------------------------------------- other raylets

    async def connect(self, node_id: bytes) -> aio.Connection:
        """The connection to another node's raylet. Raises OSError when it cannot be had."""
        task = self._raylets.get(node_id)
        if task is None or (task.done() and (task.exception() is not None or task.result().is_closed)):
            task = asyncio.get_running_loop().create_task(self._connect(node_id))
            self._raylets[node_id] = task
        return await asyncio.shield(task)

    async def _connect(self, node_id: bytes) -> aio.Connection:
        view, raylet = self._raylet.leases.view, self._raylet
        async with asyncio.timeout(JOINING_S):  # TimeoutError is an OSError
            while (row := view.rows.get(node_id)) is None:
                if node_id in view.dead:
                    raise ConnectionError("the node has died")
                self._news.clear()
                await self._news.wait()
        token = auth.load_token(raylet.config.enable_token_auth)
        connection = await aio.connect_tcp(raylet, row.host, row.raylet_port, token)
        connection.send(m.Hello(m.PROTOCOL, "raylet", node_id=raylet.node_id))
        return connection

    def forward(self, node_id: bytes, message: m.Message) -> None:
        """Send a message to another raylet; a node that has gone needs it no more."""

        def connected(task: asyncio.Task[aio.Connection]) -> None:
            if task.exception() is None:
                task.result().send(message)

        task = asyncio.get_running_loop().create_task(self.connect(node_id))
        self._tasks.add(task)  # type: ignore[arg-type]
        task.add_done_callback(connected)
        task.add_done_callback(self._tasks.discard)

    def nodes_changed(self) -> None:
        self._news.set()

    def node_died(self, node_id: bytes) -> None:
        """A machine that lost its power closes no connection: pulls from it go on elsewhere."""
        task = self._raylets.pop(node_id, None)
        if task is not None and task.done() and task.exception() is None:
            task.result().close("its node has died")
