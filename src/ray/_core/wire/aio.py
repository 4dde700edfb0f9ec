"""Connections and servers of the asyncio processes (gcs_server, raylet, agent).

Floor: wire, shell. A `Connection` sends messages, answers requests, and hands what comes in to one handler.
Messages sent within one turn of the loop leave in one system call.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
import ssl
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

from ray._core.common.messages import Done, Failed, Hello, Reply, Request, senders
from ray._core.wire import auth, codec, tls

logger = logging.getLogger(__name__)
HANDSHAKE_TIMEOUT_S = 10.0
"""A stranger who connects and says nothing is dropped after this."""

READ_SIZE = 256 * 1024


class RequestFailed(Exception):
    """The peer answered `Failed`. `kind` is a short name to act on."""

    def __init__(self, kind: str, message: str, detail: bytes = b"") -> None:
        super().__init__(message)
        self.kind, self.message, self.detail = kind, message, detail


class ConnectionLost(ConnectionError):
    """The connection closed before the answer came; the request may or may not have been carried out."""


class Handler(Protocol):
    """What a server does with connections. All three are called on the loop and must not block."""

    def connected(self, connection: Connection) -> None: ...

    def received(self, connection: Connection, message: Any, payload: bytes) -> None:
        """One message; replies to own requests do not come here. An exception answers a request by `Failed`."""

    def closed(self, connection: Connection) -> None: ...


def dispatch(
    handlers: Mapping[type, Callable[[Connection, Any], None]],
    connection: Connection,
    message: Any,
    receiver: senders.Receiver,
) -> None:
    """Give a message to the handler of its kind, if the other end may send it (`messages.senders`).

    Else, and if nobody serves it here: a request is refused, another message dropped and logged. Hello, once, says who
    the other end is, unless this end has called and knows.
    """
    kind = type(message)
    if kind is Hello:
        role = senders.role_of(message.role, receiver, connection.is_local)
        if connection.role or not role:
            connection.close(f"Its Hello as {message.role!r} is not taken (role: {connection.role!r}).")
            return
        connection.role = role
    elif not senders.may_send(connection.role, kind, receiver):
        text = senders.refusal(connection.role, kind, receiver)
        if isinstance(message, Request):
            connection.fail(message, "forbidden", text)
        logger.warning("Refused a message from %r: %s", connection.peer, text)
        return
    handler = handlers.get(kind)
    if handler is not None:
        handler(connection, message)
    elif isinstance(message, Request):
        connection.fail(message, "unknown_request", f"A {receiver} process does not serve {kind.__name__}.")
    else:
        logger.warning("Dropped a %s from %r: nothing here takes it.", kind.__name__, connection.peer)


class Connection(asyncio.Protocol):
    """One end of a connection.

    `peer` is free for the handler: it puts there what it knows of the other side.
    """

    def __init__(
        self,
        handler: Handler,
        token: bytes | None = None,  # None: a Unix socket, no handshake
        is_server: bool = False,
        gate: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self.peer: Any = None
        self.role = ""
        """By it `messages.senders` tells what the other end may send. Set by who calls, else by the other's Hello."""
        self.is_local = token is None
        """Over a Unix socket, whose peer's user the kernel has told."""
        self.is_closed = False
        self.close_reason = ""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the handshake has succeeded; fails with AuthenticationFailed."""
        self._gate = gate  # may call what it is given later: until then nothing leaves (see gcs.journal)
        self._handler = handler
        self._handshake = None if token is None else auth.Handshake(token, is_server)
        self._is_server = is_server
        self._decoder = codec.FrameDecoder()
        self._transport: asyncio.Transport | None = None
        self._out: list[codec.Buffer] = []
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._rids = itertools.count(1)
        self._timeout: asyncio.TimerHandle | None = None
        self._drained: asyncio.Event = asyncio.Event()
        self._drained.set()

    def __repr__(self) -> str:
        return f"<Connection peer={self.peer!r} closed={self.is_closed} open_requests={len(self._replies)}>"

    # ---------------------------------------------------------- sending

    def send(self, message: Any, payload: codec.Buffer = b"") -> None:
        """Send one message; on a closed connection it is dropped (its request, if any, has failed already)."""
        if self.is_closed:
            return
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        if payload:
            self._out.append(codec.encode_with_payload(message, len(payload)))
            self._out.append(payload)
        else:
            self._out.append(codec.encode(message))

    def send_frame(self, frame: bytes) -> None:
        """Send one message that is encoded already, since others get the same."""
        if self.is_closed:
            return
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(frame)

    def send_at_once(self, message: Any) -> None:
        """Past the gate, and so perhaps before what was sent earlier: for what says why the gate is closed."""
        self._write([codec.encode(message)])

    def request(self, message: Request) -> asyncio.Future[Any]:
        """Send a request; the future gives the reply.

        Raises (through the future):
            RequestFailed: the peer answered `Failed`.
            ConnectionLost: the connection closed first.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.is_closed:
            future.set_exception(ConnectionLost(f"Not connected: {self.close_reason}"))
            future.exception()  # seen: who only tells something does not wait
            return future
        message.rid = next(self._rids)
        self._replies[message.rid] = future
        self.send(message)
        return future

    def reply(self, request: Request, message: Reply | None = None) -> None:
        """Answer `request`; without a message, by `Done`."""
        message = Done() if message is None else message
        message.rid = request.rid
        self.send(message)

    def fail(self, request: Request, kind: str, message: str, detail: bytes = b"") -> None:
        self.send(Failed(kind=kind, message=message, detail=detail, rid=request.rid))

    @property
    def unsent_bytes(self) -> int:
        """How much the peer has left unread, beyond what the system keeps for it."""
        return 0 if self._transport is None or self.is_closed else self._transport.get_write_buffer_size()

    async def drain(self) -> None:
        """Wait until the transport's buffer is short again; for senders of bulk data."""
        await self._drained.wait()

    @property
    def is_encrypted(self) -> bool:
        return self._transport is not None and self._transport.get_extra_info("ssl_object") is not None

    def peer_pid(self) -> int:
        """The process at the other end of a Unix socket; 0 when it is none, or nobody tells."""
        sock = self._transport.get_extra_info("socket") if self._transport is not None and self.is_local else None
        return auth.unix_peer_pid(sock) if sock is not None else 0

    def detach(self) -> socket.socket:
        """Take the connection from the event loop: its socket, blocking. To the handler it is closed.

        For a server whose client waits for an answer, so that nothing is under way. Raises RuntimeError under TLS.
        """
        transport = self._transport
        assert transport is not None
        if self.is_encrypted:
            raise RuntimeError("A connection under TLS cannot leave the event loop.")
        sock: socket.socket = transport.get_extra_info("socket").dup()
        self.close_reason = "it has left the event loop"
        self._abort()
        sock.setblocking(True)
        return sock

    def _flush(self) -> None:
        out, self._out = self._out, []
        if not out:
            return
        if self._gate is None:
            self._write(out)
        else:
            self._gate(lambda: self._write(out))

    def _write(self, out: list[codec.Buffer]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(out)

    def close(self, reason: str = "closed here") -> None:
        """Send what is buffered, also what waits at the gate, and close; nothing is taken in any more."""
        if not self.is_closed and self._transport is not None:
            self.close_reason = self.close_reason or reason
            self._flush()
            if self._gate is None:
                self._transport.close()
            elif not self._transport.is_closing():
                self._transport.pause_reading()
                self._gate(self._transport.close)

    def abort(self, reason: str) -> None:
        """Close at once, and drop what is buffered: of a peer that takes nothing any more, an end would never come."""
        self.close_reason = self.close_reason or reason
        self._abort()

    # ---------------------------------------------------------- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if self._handshake is None:
            try:
                if self._is_server:
                    auth.check_unix_peer(sock)
            except auth.AuthenticationFailed as error:
                self._refuse(error)
                return
            self._open()
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._timeout = asyncio.get_running_loop().call_later(
            HANDSHAKE_TIMEOUT_S, self._refuse, auth.AuthenticationFailed("The peer did not finish the handshake.")
        )
        if self._handshake.opening:
            transport.write(self._handshake.opening)

    def data_received(self, data: bytes) -> None:
        if not self.ready.done():
            assert self._handshake is not None and self._transport is not None
            try:
                answer, data = self._handshake.feed(data)
            except auth.AuthenticationFailed as error:
                self._refuse(error)
                return
            if answer:
                self._transport.write(answer)
            if self._handshake.is_done:
                self._open()
        if not data:
            return
        try:
            found = self._decoder.feed(data)
        except codec.ProtocolError as error:
            logger.warning("Connection %r closed: %s", self.peer, error)
            self.close_reason = str(error)
            self._abort()
            return
        for message, payload in found:
            try:
                self._dispatch(message, payload)
            except Exception as error:
                # Ours to mend. A request is answered: who reconnects would send it again, and fail all others with it.
                logger.exception("A %s from %r could not be handled.", type(message).__name__, self.peer)
                if isinstance(message, Request):
                    text = (
                        f"{type(message).__name__} could not be handled ({error!r}); this is a bug, see the peer's log."
                    )
                    self.fail(message, "internal", text)

    def connection_lost(self, exc: Exception | None) -> None:
        was_open = self.ready.done() and self.ready.exception() is None
        if was_open and self.is_local and isinstance(exc, OSError):
            self._hear_out()
        self.is_closed = True
        self._drained.set()
        self.close_reason = self.close_reason or (str(exc) if exc else "closed by the peer")
        if not self.ready.done():
            self.ready.set_exception(_closed_early(exc))
            self.ready.exception()  # seen: whoever awaits `ready` still gets it
        replies, self._replies = self._replies, {}
        for future in replies.values():
            if not future.done():
                future.set_exception(ConnectionLost(f"The connection closed before the answer: {self.close_reason}"))
                future.exception()
        if was_open:
            self._handler.closed(self)

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()

    # ---------------------------------------------------------- inside

    def _open(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
        self.ready.set_result(None)
        self._handler.connected(self)

    def _hear_out(self) -> None:
        """Take in what the peer said before it ended. asyncio gives up a connection as soon as nothing more can be sent
        by it, and would drop what lies there unread: a worker's word of an object, say, on which its owner counts."""
        assert self._transport is not None
        fd = self._transport.get_extra_info("socket").fileno()
        try:
            while data := os.read(fd, READ_SIZE):
                self.data_received(data)
        except OSError:
            return  # all is read, or it was cut

    def _refuse(self, error: auth.AuthenticationFailed) -> None:
        if self._is_server:
            logger.warning("Connection refused: %s", error)
        self.close_reason = str(error)
        if not self.ready.done():
            self.ready.set_exception(error)
            self.ready.exception()
        self._abort()

    def _abort(self) -> None:
        self._out.clear()
        if self._transport is not None:
            self._transport.abort()

    def _dispatch(self, message: Any, payload: bytes) -> None:
        if isinstance(message, Reply):
            future = self._replies.pop(message.rid, None)
            if future is None or future.done():
                return  # whoever asked has given up
            if isinstance(message, Failed):
                future.set_exception(RequestFailed(message.kind, message.message, message.detail))
            else:
                future.set_result((message, payload) if payload else message)
            return
        self._handler.received(self, message, payload)


def _closed_early(exc: Exception | None) -> ConnectionError:
    """A server that refuses our certificate says so only once it has answered (TLS 1.3)."""
    if isinstance(exc, ssl.SSLError):
        return tls.TlsFailed(f"The connection could not be secured by TLS: {tls.explain(exc)}.")
    return auth.AuthenticationFailed(tls.why_closed())


def server_tls() -> dict[str, Any]:
    """What `loop.create_server` must be told beside; nothing without TLS."""
    context = tls.server_context()
    return {} if context is None else {"ssl": context, "ssl_handshake_timeout": HANDSHAKE_TIMEOUT_S}


async def serve_tcp(handler: Handler, host: str, port: int, token: bytes) -> tuple[asyncio.Server, int]:
    """Listen; returns the server and its port (chosen by the system for port 0)."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(handler, token, is_server=True), host, port, backlog=1024, **server_tls()
    )
    return server, server.sockets[0].getsockname()[1]


async def serve_unix(handler: Handler, at: str | Path | socket.socket) -> asyncio.AbstractServer:
    """Listen on a Unix socket, by path or bound already; its directory has mode 0700 (see node.session_dir)."""
    loop = asyncio.get_running_loop()
    if isinstance(at, socket.socket):
        return await loop.create_unix_server(lambda: Connection(handler, is_server=True), sock=at, backlog=1024)
    return await loop.create_unix_server(lambda: Connection(handler, is_server=True), str(at), backlog=1024)


async def answers(asked: Collection[asyncio.Future[Any]], timeout_s: float) -> tuple[list[Any], int]:
    """What several peers answer within the time, in the order in which they are named, and how many had not by then.

    Those that failed count as neither.
    """
    if not asked:
        return [], 0
    done, late = await asyncio.wait(asked, timeout=timeout_s)
    return [future.result() for future in asked if future in done and future.exception() is None], len(late)


async def connect_tcp(handler: Handler, host: str, port: int, token: bytes) -> Connection:
    """Connect and prove the token.

    Raises:
        OSError: nobody listens there; a subclass, TlsFailed, when the connection could not be secured.
        AuthenticationFailed: the handshake failed.
    """
    loop, context = asyncio.get_running_loop(), tls.client_context(host)
    try:
        if context is None:
            _, connection = await loop.create_connection(lambda: Connection(handler, token), host, port)
        else:
            _, connection = await loop.create_connection(
                lambda: Connection(handler, token), host, port, ssl=context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S
            )
    except ssl.SSLError as error:
        raise tls.TlsFailed(
            f"The connection to {host}:{port} could not be secured by TLS: {tls.explain(error)}."
        ) from error
    except (ConnectionResetError, ConnectionAbortedError) as error:
        raise tls.TlsFailed(tls.why_closed()) from error
    try:
        await asyncio.shield(connection.ready)
    except asyncio.CancelledError:
        connection.abort("nobody wants it any more")
        raise
    return connection


async def connect_unix(handler: Handler, path: str | Path) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_unix_connection(lambda: Connection(handler), str(path))
    return connection


async def connect_socket(handler: Handler, sock: socket.socket) -> Connection:
    """Speak over a socket that exists already, such as one half of a socketpair with a child process."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(handler), sock=sock)
    return connection
