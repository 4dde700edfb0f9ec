"""Objects of this node for others: small ones by messages, large ones by bulk connections.

Floor: raylet, shell around `offers`; `bulk` has the threads.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.raylet import bulk
from ray._core.raylet.objects import Placed
from ray._core.raylet.offers import Offers
from ray._core.wire import aio
from ray._core.wire.background import Background

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet

SEALING_S = 2.0
"""What is asked for and unknown is refused only after this: the word that it exists may come by another connection."""


@dataclasses.dataclass(slots=True)
class _Open:
    """An offer that stands."""

    connection: aio.Connection
    source: bulk.Source


class Giving:
    def __init__(self, raylet: Raylet) -> None:
        self._raylet = raylet
        self._arena: memoryview
        self._offers = Offers()
        self._open: dict[int, _Open] = {}
        self._sources: dict[int, bulk.Source] = {}
        """By ticket, for the threads."""
        self._streams: set[socket.socket] = set()
        self._early: dict[bytes, list[Callable[[bool], None]]] = {}
        """Requests for objects that are not here yet: called with whether it is, or will be no more."""
        self._background = Background()
        self.handlers: dict[type, Any] = {
            m.FetchChunk: self._fetch,
            m.OfferObject: self._offer,
            m.OfferEnded: lambda _, message: self._ended(message.ticket),
        }

    def __repr__(self) -> str:
        return f"<Giving {self._offers!r} streams={len(self._streams)}>"

    def start(self, arena: memoryview) -> None:
        self._arena = arena

    # ---------------------------------------------------------- chunks

    def _fetch(self, connection: aio.Connection, request: m.FetchChunk) -> None:
        objects = self._raylet.objects
        placed = objects.table.objects.get(request.object_id)
        if placed is not None:
            self._give(connection, request, placed)
        elif objects.spiller.url(request.object_id) is not None:
            self._background.start(self._give_from_disk(connection, request))
        else:
            self._expect(connection, request, self._fetch)

    def _give(self, connection: aio.Connection, request: m.FetchChunk, placed: Placed) -> None:
        start, length = request.start, min(request.length, placed.size - request.start)
        if start < 0 or length < 0:
            connection.fail(request, "lost", f"The object has {placed.size} bytes, there are none at {start}.")
            return
        # A copy: the object may be freed, and its memory used anew, before the socket has taken everything.
        payload = bytes(self._arena[placed.offset + start : placed.offset + start + length])
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

    # ---------------------------------------------------------- offers

    def _offer(self, connection: aio.Connection, request: m.OfferObject) -> None:
        objects, object_id = self._raylet.objects, request.object_id
        if objects.spiller.is_leaving(object_id):
            objects.when_settled(object_id, partial(self._offer, connection, request))
            return
        placed = objects.table.objects.get(object_id)
        coming = objects.transfer.coming(object_id)
        if connection.is_encrypted:
            connection.fail(request, "chunks", "Connections under TLS have no bulk streams.")
        elif placed is not None:
            self._accept(connection, request, bulk.Source(placed.offset, placed.size))
        elif (spilled := objects.spiller.source(object_id)) is not None:
            self._accept(connection, request, spilled)
        elif coming is not None:
            self._accept(connection, request, coming)
        else:
            self._expect(connection, request, self._offer)

    def _accept(self, connection: aio.Connection, request: m.OfferObject, source: bulk.Source) -> None:
        answer = self._offers.ask(request.object_id, request.node_id, request.may_send_on)
        if isinstance(answer, bytes):
            connection.reply(request, m.ObjectElsewhere(answer))
            return
        if not isinstance(source, bulk.SpilledSource):
            self._raylet.objects.table.pin(source.offset)
        self._open[answer] = _Open(connection, source)
        self._sources[answer] = source
        connection.reply(request, m.ObjectOffered(answer))

    def _ended(self, ticket: int) -> None:
        offer = self._open.pop(ticket, None)
        if offer is None:
            return
        del self._sources[ticket]
        self._offers.ended(ticket)
        if isinstance(offer.source, bulk.SpilledSource):
            offer.source.close(lambda: None)
            return
        loop = asyncio.get_running_loop()
        unpin = partial(self._raylet.objects.unpin, offer.source.offset)
        offer.source.close(lambda: loop.call_soon_threadsafe(unpin))

    def connection_lost(self, connection: aio.Connection) -> None:
        for ticket in [ticket for ticket, offer in self._open.items() if offer.connection is connection]:
            self._ended(ticket)

    def serve_stream(self, connection: aio.Connection) -> None:
        """A bulk connection: it leaves the event loop for a thread."""
        sock = connection.detach()
        self._streams.add(sock)

        def serve() -> None:
            try:
                bulk.serve(sock, self._sources, self._arena)
            finally:
                self._streams.discard(sock)

        threading.Thread(target=serve, name="ray-bulk", daemon=True).start()

    def close(self) -> None:
        for sock in self._streams.copy():
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # its thread was quicker

    # ---------------------------------------------------------- what is asked for too early

    def _expect(self, connection: aio.Connection, request: Any, again: Callable[[aio.Connection, Any], None]) -> None:
        waiting = self._early.setdefault(request.object_id, [])

        def answer(is_here: bool) -> None:
            timer.cancel()
            waiting.remove(answer)
            if not waiting and self._early.get(request.object_id) is waiting:
                del self._early[request.object_id]
            if is_here:
                again(connection, request)
            else:
                connection.fail(request, "lost", "This node has no copy of the object.")

        timer = asyncio.get_running_loop().call_later(SEALING_S, answer, False)
        waiting.append(answer)

    def came(self, object_id: bytes) -> None:
        """An object can be read here, or begins to come: whoever has asked for it too early is answered now."""
        for answer in list(self._early.get(object_id, ())):
            answer(True)
