"""Large objects between the memories of two nodes: blocking sockets on threads, so that the kernel copies straight
from and to the arena while the event loop goes on.

Floor: raylet, shell. A connection of a raylet whose Hello says "bulk" leaves the event loop: one thread of the giver
(`serve`) answers each `FetchPart` by the bytes, one thread of the taker (`fetch`) reads them to their place. Measured
on loopback: 3 to 5 GB/s into memory that was used before, 1 GB/s into fresh pages, which the kernel must clear first.
(`sendfile` was slower there than `send` from the map, and would leave pages in the socket that may be used anew.)
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping

from ray._core.common import messages as m
from ray._core.raylet.parts import Parts
from ray._core.wire import aio, codec

SILENCE_S = 60.0
"""A peer that takes nothing of a part for so long is given up. (A dead node is heard of sooner, by the GCS.)"""


class Incoming:
    """An object on its way into this node's memory: filled by threads, and read by those that pass it on."""

    def __init__(self, size: int, step: int) -> None:
        self._parts = Parts(size, step)
        self.changed = threading.Condition()
        self.has_failed = False
        self._is_whole = False

    @property
    def is_whole(self) -> bool:
        return self._is_whole or self._parts.is_whole

    @property
    def come_bytes(self) -> int:
        """How much is here."""
        return self._parts.size if self._is_whole else self._parts.come_bytes

    def claim(self) -> tuple[int, int] | None:
        with self.changed:
            return None if self.has_failed else self._parts.claim()

    def came(self, start: int) -> None:
        with self.changed:
            self._parts.came(start)
            self.changed.notify_all()

    def again(self, start: int) -> None:
        with self.changed:
            self._parts.again(start)

    def complete(self) -> None:
        """All is here; some of it may have come another way."""
        with self.changed:
            self._is_whole = True
            self.changed.notify_all()

    def fail(self) -> None:
        """No more comes: whoever waits for it is told."""
        with self.changed:
            self.has_failed = True
            self.changed.notify_all()

    def has(self, start: int, length: int) -> bool:
        return self._is_whole or self._parts.has(start, length)


class Source:
    """An object that one other node may read here; `incoming`: it is on its way here itself."""

    def __init__(self, offset: int, size: int, incoming: Incoming | None = None) -> None:
        self.offset = offset
        self.size = size
        self._incoming = incoming
        self._changed = threading.Condition() if incoming is None else incoming.changed
        self._readers = 0
        self._then: Callable[[], object] | None = None

    def read(self, arena: memoryview, start: int, length: int) -> memoryview:
        """These bytes, between `begin` and `end`."""
        return arena[self.offset + start : self.offset + start + length]

    def begin(self, start: int, length: int) -> bool:
        """Wait until these bytes are here. False: they cannot be had; else their memory stays until `end`."""
        if start < 0 or length <= 0 or start + length > self.size:
            return False
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._has(start, length))
            if self._is_over:
                return False
            self._readers += 1
            return True

    @property
    def _is_over(self) -> bool:
        return self._then is not None or (self._incoming is not None and self._incoming.has_failed)

    def _has(self, start: int, length: int) -> bool:
        return self._incoming is None or self._incoming.has(start, length)

    def end(self) -> None:
        with self._changed:
            self._readers -= 1
            then = self._then if not self._readers else None
        if then is not None:
            then()

    def close(self, then: Callable[[], object]) -> None:
        """Nothing more is read; `then` is called, by any thread, once nothing is being read."""
        with self._changed:
            self._then = then
            self._changed.notify_all()
            is_idle = not self._readers
        if is_idle:
            then()


class SpilledSource(Source):
    """An object on disk: it is not brought back for others, since that would take memory from this node's own work.

    Args:
        restore: fill a buffer with the bytes from a position on; raises whatever the storage does.
    """

    def __init__(self, size: int, restore: Callable[[memoryview, int], None]) -> None:
        super().__init__(-1, size)
        self._restore = restore

    def read(self, arena: memoryview, start: int, length: int) -> memoryview:
        buffer = memoryview(bytearray(length))
        self._restore(buffer, start)
        return buffer


def serve(sock: socket.socket, sources: Mapping[int, Source], arena: memoryview) -> None:
    """Answer what a peer asks for, until it closes. `sources`: by ticket."""
    with sock, contextlib.suppress(OSError):  # whoever asked is gone; it asks elsewhere, or has what it wanted
        sock.settimeout(SILENCE_S)
        sock.sendall(codec.encode(m.Done()))
        while True:
            sock.settimeout(None)  # the peer decides how long it keeps the connection
            request, _ = _receive_head(sock)
            sock.settimeout(SILENCE_S)
            if not isinstance(request, m.FetchPart):
                return
            source = sources.get(request.ticket)
            if source is None or not source.begin(request.start, request.length):
                sock.sendall(codec.encode(m.Failed("lost", "This node does not have these bytes.", rid=request.rid)))
                continue
            try:
                _give(sock, request, source, arena)
            finally:
                source.end()


def _give(sock: socket.socket, request: m.FetchPart, source: Source, arena: memoryview) -> None:
    try:
        data = source.read(arena, request.start, request.length)
    except Exception as error:  # whatever a storage raises
        text = f"The spilled copy could not be read: {error!r}"
        sock.sendall(codec.encode(m.Failed("lost", text, rid=request.rid)))
        return
    head = codec.encode_with_payload(m.Chunk(start=request.start, rid=request.rid), request.length)
    sock.sendall(head, socket.MSG_MORE)
    sock.sendall(data)


def open_stream(sock: socket.socket, node_id: bytes) -> None:
    """Have the peer's raylet serve this connection, which has proved the token, from a thread. Raises OSError."""
    sock.sendall(codec.encode(m.Hello(m.PROTOCOL, "bulk", node_id=node_id)))
    _receive_head(sock)


def fetch(sock: socket.socket, ticket: int, incoming: Incoming, target: memoryview) -> None:
    """Bring parts of the object to their place in `target` until none is left to ask for.

    Raises:
        OSError: the connection broke.
        aio.RequestFailed: the peer does not have it.
    """
    while (part := incoming.claim()) is not None:
        start, length = part
        try:
            sock.sendall(codec.encode(m.FetchPart(ticket=ticket, start=start, length=length)))
            reply, size = _receive_head(sock)
            if isinstance(reply, m.Failed):
                raise aio.RequestFailed(reply.kind, reply.message)
            if size != length:
                raise codec.ProtocolError(f"{length} bytes were asked for, and {size} announced.")
            _receive_into(sock, target[start : start + length])
        except BaseException:
            incoming.again(start)
            raise
        incoming.came(start)


def _receive_head(sock: socket.socket) -> tuple[m.Message, int]:
    """One frame up to its payload, and the size of that."""
    prefix = bytearray(codec.PREFIX_SIZE)
    _receive_into(sock, memoryview(prefix))
    header_size, payload_size = codec.sizes(prefix)
    header = bytearray(header_size)
    _receive_into(sock, memoryview(header))
    return codec.decode(header), payload_size


def _receive_into(sock: socket.socket, target: memoryview) -> None:
    while target.nbytes:
        count = sock.recv_into(target)
        if not count:
            raise ConnectionResetError("The peer closed the connection.")
        target = target[count:]
