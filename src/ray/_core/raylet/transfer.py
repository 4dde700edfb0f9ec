"""Objects that are wanted on this node, brought from its disk or from other nodes.

Floor: raylet, shell around `pull_queue`. Processes of this node ask for a copy (`PullObject`); all who ask for one
object share one transfer. A node that has the object, or is getting it, gives it (`giving`); when one dies in the
middle, the rest comes from another. The owner decides which copies live how long.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common import object_header
from ray._core.common.object_header import HEADER_SIZE
from ray._core.raylet import bulk
from ray._core.raylet.pull_queue import PullQueue
from ray._core.wire import aio
from ray._core.wire.background import Background

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet

logger = logging.getLogger(__name__)
CHUNKS_IN_FLIGHT = 4
"""Chunks asked for by messages and not there yet, per pull."""
STREAMS = 2
"""Bulk connections for one large object (measured on loopback, warm: 3 GB/s by one, 4.7 GB/s by two)."""
STREAM_FROM = 32 << 20
"""Bytes for which one more stream is worth its connection."""
THREADS = 16
"""Streams at a time, of all pulls; further ones wait for their turn."""
ROOM_S = 30.0
"""How long a pull waits for free memory before it fails."""


@dataclasses.dataclass(eq=False, slots=True)
class Pull:
    """One object on its way here, and who waits for it."""

    object_id: bytes
    owner: m.Address
    size: int
    sources: list[tuple[bytes, bool]]
    """Nodes to ask, and whether they may send us on to others."""
    waiting: list[tuple[aio.Connection, m.PullObject]]
    since_s: float
    tried: set[tuple[bytes, bool]] = dataclasses.field(default_factory=set)
    state: str = "queued"
    """As `messages.Pulls` names it."""
    source: bytes = b""
    """The node that is asked for it now."""
    incoming: bulk.Incoming | None = None
    """Of a large object, once its bytes come."""
    offset: int = 0
    attempt: int = 0
    """The latest of those of which a copy is wanted."""

    def add_sources(self, node_ids: list[bytes]) -> None:
        known = {node_id for node_id, _ in self.sources}
        self.sources += [(node_id, True) for node_id in node_ids if node_id not in known]


class Transfer:
    def __init__(self, raylet: Raylet) -> None:
        self._raylet = raylet
        self._arena: memoryview
        self._pulls: dict[bytes, Pull] = {}
        self._queue = PullQueue()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ray-pull")
        self._background = Background()
        self.handlers: dict[type, Any] = {m.PullObject: self._pull, m.UrgePull: self._urge}

    def __repr__(self) -> str:
        return f"<Transfer pulls={len(self._pulls)} {self._queue!r}>"

    def start(self, arena: memoryview) -> None:
        self._arena = arena

    def close(self) -> None:
        """Threads that wait for other nodes end once their connections are closed."""
        for pull in self._pulls.values():
            if pull.incoming is not None:
                pull.incoming.fail()
        self._threads.shutdown(wait=False, cancel_futures=True)

    # ---------------------------------------------------------- who wants what

    def _pull(self, connection: aio.Connection, request: m.PullObject) -> None:
        objects, object_id = self._raylet.objects, request.object_id
        if objects.spiller.is_leaving(object_id):
            objects.when_settled(object_id, partial(self._pull, connection, request))
            return
        placed = objects.table.objects.get(object_id)
        if placed is not None:
            connection.reply(request, m.ObjectLocal(offset=placed.offset, size=placed.size))
            return
        own_id = self._raylet.node_id  # named when the owner has not heard yet that the copy here is gone
        sources = [where.node_id for where in request.locations if where.node_id != own_id]
        pull = self._pulls.get(object_id)
        if pull is None:
            size = request.locations[0].size
            now_s = asyncio.get_running_loop().time()
            pull = self._pulls[object_id] = Pull(object_id, request.owner, size, [], [], now_s)
            self._queue.add(object_id, size + HEADER_SIZE, request.priority)
        pull.waiting.append((connection, request))
        pull.attempt = max(pull.attempt, *(where.attempt for where in request.locations))
        pull.add_sources(sources)
        self._queue.urge(object_id, request.priority)
        self.admit()

    def _urge(self, _: aio.Connection, message: m.UrgePull) -> None:
        self._queue.urge(message.object_id, message.priority)
        self.admit()

    def admit(self) -> None:
        """Begin what there is free memory for."""
        extents = self._raylet.objects.extents
        while (object_id := self._queue.start(extents.size - extents.used)) is not None:
            self._background.start(self._carry_out(self._pulls[object_id]))

    def progress(self, object_id: bytes) -> tuple[m.Pulls, float] | None:
        """How far a pull has come, and when it was first wanted; None: there is none of that object."""
        pull = self._pulls.get(object_id)
        if pull is None:
            return None
        come = pull.incoming.come_bytes if pull.incoming is not None else -1
        return m.Pulls(pull.size, come, pull.state, pull.source), pull.since_s

    # ---------------------------------------------------------- one pull

    async def _carry_out(self, pull: Pull) -> None:
        objects = self._raylet.objects
        pull.state = "making_room"
        try:
            extent = await objects.find_room(pull.size + HEADER_SIZE, ROOM_S)
            self._queue.took_room(pull.object_id)
            if extent is None:
                self._fail(pull, "full", f"{pull.size} bytes did not fit within {ROOM_S:g} s: {objects.why_full()}")
                return
            pull.offset = extent + HEADER_SIZE
            object_header.clear(self._arena[extent : pull.offset])  # else it vouches for what lay here before
            problem = await self._bring(pull)
            if problem is None:
                self._came(pull, extent)
                return
            if pull.incoming is not None:
                pull.incoming.fail()
            objects.abandoned(extent)
            self._fail(pull, "lost", problem)
        finally:
            del self._pulls[pull.object_id]
            self._queue.ended(pull.object_id)
            self.admit()

    def _came(self, pull: Pull, extent: int) -> None:
        objects = self._raylet.objects
        if pull.incoming is not None:
            pull.incoming.complete()
        objects.adopt(pull.object_id, extent, pull.size, pull.attempt)
        placed = objects.table.objects.get(pull.object_id)
        if placed is None:
            self._fail(pull, "lost", "Its owner has freed it meanwhile.")
            return
        objects.orphans.came(pull.object_id, pull.owner.worker_id, pull.owner.node_id)
        wanted = [(connection, request) for connection, request in pull.waiting if not connection.is_closed]
        for connection, request in wanted:
            connection.reply(request, m.ObjectLocal(offset=placed.offset, size=placed.size))
        if wanted:
            where = m.StoreLocation(self._raylet.node_id, placed.offset, placed.size, placed.attempt)
            objects.copied(pull.object_id, pull.owner, where)
        elif placed.offset == pull.offset:
            objects.unwanted(pull.object_id, placed)

    def _fail(self, pull: Pull, kind: str, text: str) -> None:
        for connection, request in pull.waiting:
            connection.fail(request, kind, text)

    async def _bring(self, pull: Pull) -> str | None:
        """From this node's disk, or from another node. None: it is there; else what went wrong."""
        spiller = self._raylet.objects.spiller
        if spiller.url(pull.object_id) is not None:
            pull.state = "from_disk"
            problem = await spiller.restore(pull.object_id, self._target(pull))
            if problem is None:
                return None
            logger.warning("Object %s: %s", pull.object_id.hex(), problem)
        return await self._copy_from_any(pull)

    def _target(self, pull: Pull) -> memoryview:
        return self._arena[pull.offset : pull.offset + pull.size]

    async def _copy_from_any(self, pull: Pull) -> str | None:
        """Try each node that has a copy. None: it is there; else what went wrong at the last."""
        problem = "no node has a copy"
        pull.state = "copying"
        while pull.sources:
            source = node_id, may_send_on = pull.sources.pop(0)
            if source in pull.tried:
                continue
            pull.tried.add(source)
            pull.source = node_id
            try:
                connection = await self._raylet.objects.peers.connect(node_id)
                elsewhere = await self._copy(connection, pull, node_id, may_send_on)
            except (aio.RequestFailed, OSError) as error:
                problem = f"node {node_id.hex()}: {error}"
                logger.warning("Object %s could not be pulled from %s", pull.object_id.hex(), problem)
            else:
                if elsewhere is None:
                    return None
                pull.sources[:0] = [(elsewhere, True), (node_id, False)]
        return problem

    async def _copy(self, connection: aio.Connection, pull: Pull, node_id: bytes, may_send_on: bool) -> bytes | None:
        """Bring what is missing. Returns the node to ask instead, if this one sends us on."""
        if pull.size <= self._raylet.config.fetch_chunk_size:
            await self._copy_chunks(connection, pull)
            return None
        wish = m.OfferObject(object_id=pull.object_id, node_id=self._raylet.node_id, may_send_on=may_send_on)
        try:
            offer = await connection.request(wish)
        except aio.RequestFailed as refusal:
            if refusal.kind != "chunks":
                raise
            await self._copy_chunks(connection, pull)
            return None
        if isinstance(offer, m.ObjectElsewhere):
            return offer.node_id
        try:
            await self._copy_streams(pull, node_id, offer.ticket)
        finally:
            connection.send(m.OfferEnded(offer.ticket))
        return None

    # ---------------------------------------------------------- by bulk connections

    def coming(self, object_id: bytes) -> bulk.Source | None:
        """A source for others of an object that is on its way here, if its bytes come already."""
        pull = self._pulls.get(object_id)
        return None if pull is None or pull.incoming is None else bulk.Source(pull.offset, pull.size, pull.incoming)

    async def _copy_streams(self, pull: Pull, node_id: bytes, ticket: int) -> None:
        if pull.incoming is None:
            pull.incoming = bulk.Incoming(pull.size, self._raylet.config.fetch_chunk_size)
            self._raylet.objects.giving.came(pull.object_id)
        loop, count = asyncio.get_running_loop(), min(STREAMS, 1 + pull.size // STREAM_FROM)
        run: Callable[..., None] = self._run_stream
        streams = [
            loop.run_in_executor(self._threads, run, node_id, ticket, pull.incoming, self._target(pull))
            for _ in range(count)
        ]
        await asyncio.wait(streams)  # none of them writes any more once the memory is given to others
        problems = [problem for stream in streams if (problem := stream.exception()) is not None]
        if not pull.incoming.is_whole:  # else another stream has brought what one has failed to
            raise problems[0] if problems else ConnectionError("the pull was ended")

    def _run_stream(self, node_id: bytes, ticket: int, incoming: bulk.Incoming, target: memoryview) -> None:
        """On a thread of its own."""
        peers = self._raylet.objects.peers
        sock = peers.open_stream(node_id)
        try:
            bulk.fetch(sock, ticket, incoming, target)
        finally:
            peers.close_stream(sock)

    # ---------------------------------------------------------- by messages

    async def _copy_chunks(self, connection: aio.Connection, pull: Pull) -> None:
        step, target = self._raylet.config.fetch_chunk_size, self._target(pull)
        starts = iter(range(0, pull.size, step))

        async def one_after_another() -> None:
            for start in starts:
                request = m.FetchChunk(object_id=pull.object_id, start=start, length=min(step, pull.size - start))
                _, payload = await connection.request(request)
                if len(payload) != request.length:
                    raise aio.RequestFailed("lost", "the copy there is shorter than its owner says")
                target[start : start + len(payload)] = payload

        streams = min(CHUNKS_IN_FLIGHT, -(-pull.size // step))
        tasks = [asyncio.ensure_future(one_after_another()) for _ in range(streams)]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)  # none of them writes any more once the memory is given to others
            raise
