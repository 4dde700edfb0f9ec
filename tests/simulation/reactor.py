"""The core worker's `Reactor` and its connections, as far as the real `LeaseClient` and `GcsClient` use them.

There are no threads in the simulation: everything runs in callbacks of the process.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any, Protocol

from ray._core.common import messages as m
from ray._core.wire import auth, codec
from simulation.loop import Process, SimLoop


class Handler(Protocol):
    def received(self, connection: Connection, message: Any, payload: bytes) -> None: ...

    def closed(self, connection: Connection, reason: str) -> None: ...


class Connection:
    """As `wire.reactor.Connection`, over a transport of the simulated network. Also the transport's protocol."""

    def __init__(self, reactor: SimReactor, handler: Handler, token: bytes | None, is_server: bool) -> None:
        self.reactor, self.handler = reactor, handler
        self.peer: Any = None
        self.role = "core"
        self.is_closed = self.heard_all = False
        self._out: list[bytes] = []
        self._decoder = codec.FrameDecoder()
        self._replies: dict[int, Callable[[Any], None]] = {}
        self._rids = itertools.count(1)
        self._server = auth.ServerHandshake(token) if token is not None and is_server else None
        self._client = auth.ClientHandshake(token) if token is not None and not is_server else None
        self._is_open = False
        self._hello = bytearray()
        self._transport: Any = None

    def __repr__(self) -> str:
        return f"<Connection peer={self.peer!r} closed={self.is_closed}>"

    @property
    def was_open(self) -> bool:
        return self._is_open

    def send(self, message: Any) -> None:
        if not self.is_closed:
            if not self._out:
                self.reactor.loop.call_soon(self.flush)
            self._out.append(codec.encode(message))

    def request(self, message: m.Request, on_reply: Callable[[Any], None]) -> int:
        rid = next(self._rids)
        if self.is_closed:
            on_reply(m.Failed(kind="connection_lost", message="The connection is closed."))
            return rid
        message.rid = rid
        self._replies[rid] = on_reply
        self.send(message)
        return rid

    def reply(self, request: m.Request, message: m.Reply) -> None:
        message.rid = request.rid
        self.send(message)

    def flush(self) -> None:
        if self._is_open and self._out and not self.is_closed:
            out, self._out = self._out, []
            self._transport.writelines(out)

    def close(self, reason: str = "closed here") -> None:
        if not self.is_closed:
            self.flush()
            if self._transport is not None:
                self._transport.close()
            self.lost(reason)

    # ---------------------------------------------------------- the transport's protocol

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        if self.is_closed:
            transport.close()
        elif self._client is not None:
            transport.write(self._client.hello)
        elif self._server is None:
            self._opened()

    def _opened(self) -> None:
        self._is_open = True
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self.is_closed:
            return
        if not self._is_open:
            data = self._shake(data)
        for message, payload in self._decoder.feed(data):
            if isinstance(message, m.Reply):
                on_reply = self._replies.pop(message.rid, None)
                if on_reply is not None:
                    on_reply(message)
            elif not self.is_closed:
                self.handler.received(self, message, payload)

    def _shake(self, data: bytes) -> bytes:
        self._hello += data
        if self._client is not None:
            if len(self._hello) < auth.SERVER_HELLO_SIZE:
                return b""
            self._transport.write(self._client.answer(bytes(self._hello[: auth.SERVER_HELLO_SIZE])))
            used = auth.SERVER_HELLO_SIZE
        else:
            assert self._server is not None
            if self._decoder.pending == 0 and self._server._client_nonce == b"":
                if len(self._hello) < auth.CLIENT_HELLO_SIZE:
                    return b""
                self._transport.write(self._server.challenge(bytes(self._hello[: auth.CLIENT_HELLO_SIZE])))
                del self._hello[: auth.CLIENT_HELLO_SIZE]
            if len(self._hello) < auth.PROOF_SIZE:
                return b""
            self._server.verify(bytes(self._hello[: auth.PROOF_SIZE]))
            used = auth.PROOF_SIZE
        rest = bytes(self._hello[used:])
        self._hello.clear()
        self._opened()
        return rest

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.heard_all = error is None or (self._server is None and self._client is None)
        self.lost(str(error) if error else "closed by the peer")

    def lost(self, reason: str) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self._out.clear()
        replies, self._replies = self._replies, {}
        for on_reply in replies.values():
            on_reply(m.Failed(kind="connection_lost", message=f"The connection was lost: {reason}"))
        self.handler.closed(self, reason)

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class SimReactor:
    def __init__(self, loop: SimLoop, process: Process) -> None:
        self.loop, self._process = loop, process
        self.lock = contextlib.nullcontext()

    def now_s(self) -> float:
        return self.loop.time()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.loop.call_later(delay_s, callback)

    def soon_flushed(self) -> None:
        """Connections flush by themselves here."""

    def flush(self) -> None: ...

    def _finished(self, waiter: Any) -> None:
        """No thread waits."""

    def connect_unix(self, path: str, handler: Handler) -> Connection:
        """Raises OSError when nobody listens there."""
        if path not in self.loop.network.listeners:
            raise ConnectionRefusedError(111, f"Nobody listens at {path}")
        connection = Connection(self, handler, None, is_server=False)
        self._begin(connection, path)
        return connection

    def connect_tcp(self, host: str, port: int, handler: Handler, token: bytes) -> Connection:
        connection = Connection(self, handler, token, is_server=False)
        self._begin(connection, (host, port))
        return connection

    def _begin(self, connection: Connection, key: Any) -> None:
        network = self.loop.network
        network.begin(lambda: connection, key, lambda pair: None, lambda error: connection.lost(str(error)))

    async def listen(self, handler: Handler, token: bytes, path: str) -> int:
        """Accept at a Unix path and at a port, which is returned."""
        self.loop.network.listen_unix(lambda: Connection(self, handler, None, is_server=True), path)
        listener = self.loop.network.listen(lambda: Connection(self, handler, token, is_server=True), 0)
        port: int = listener.sockets[0].getsockname()[1]
        return port
