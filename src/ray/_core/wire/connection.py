"""One end of a connection of a core worker: frames out and in, replies to their askers, and the handshake.

Floor: wire, shell. The reactor's: its leader calls `handle`, and anybody who holds its lock may send.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ray._core.common.messages import Failed, Reply, Request
from ray._core.wire import auth, codec, tls

if TYPE_CHECKING:
    from ray._core.wire.sockets import Sockets

logger = logging.getLogger(__name__)
_RECV_SIZE = 64 * 1024
"""Below 128 KiB, from where on malloc maps pages for each buffer and unmaps them: three system calls a message."""


class Handler(Protocol):
    """What becomes of a connection's messages. All are called by the leader with `lock` held."""

    def received(self, connection: Connection, message: Any, payload: bytes) -> None: ...

    def closed(self, connection: Connection, reason: str) -> None: ...


class Connection:
    """One end of a connection, with frames on their way in and out.

    `peer` is free for the handler. TCP connections shake hands first; what is sent meanwhile waits.
    """

    __slots__ = (
        "__weakref__",
        "_decoder",
        "_handshake",
        "_is_server",
        "_replies",
        "_rids",
        "_state",
        "_tls",
        "fd",
        "handler",
        "heard_all",
        "is_closed",
        "out",
        "peer",
        "reactor",
        "role",
        "sock",
        "wants_write",
    )

    def __init__(
        self,
        reactor: Sockets,
        handler: Handler,
        token: bytes | None,
        is_server: bool,
    ) -> None:
        self.reactor = reactor
        self.sock: socket.socket | tls.TlsSocket
        self._tls: tls.TlsSocket | None = None
        self.fd = -1
        self.handler = handler
        self.peer: Any = None
        self.role = "core"
        """What the other end may send (`messages.senders`); who has called is a core worker, whatever it says."""
        self.out = bytearray()
        """Frames on their way to the system."""
        self.is_closed = False
        self.heard_all = False
        """Set before it closes: the peer has ended it, and all that it had said was read. A cut swallows what was under
        way; so may a process that ends with unread bytes (TCP resets then), but not on this machine's own sockets."""
        self._decoder = codec.FrameDecoder()
        self._replies: dict[int, Callable[[Any], None]] = {}
        self._rids = itertools.count(1)
        self.wants_write = False
        self._is_server = is_server
        self._handshake = None if token is None else auth.Handshake(token, is_server)
        self._state = "connecting"

    def attach(self, sock: socket.socket | tls.TlsSocket) -> None:
        """The socket is there; it is connected, or on its way by TCP."""
        self.sock, self.fd = sock, sock.fileno()
        self._tls = sock if isinstance(sock, tls.TlsSocket) else None
        self._state = "open" if self._handshake is None else "shaking" if self._is_server else "connecting"
        self.wants_write = self._state == "connecting"

    def __repr__(self) -> str:
        return f"<Connection fd={self.fd} peer={self.peer!r} {'closed' if self.is_closed else self._state}>"

    # ---------------------------------------------------------- sending (locked)

    def send(self, message: Any) -> None:
        """Buffer one message; it leaves at the next flush."""
        if self.is_closed:
            return
        if not self.out:
            self.reactor.dirty.append(self)
        self.reactor.unsent += 1
        self.out += codec.encode(message)

    def request(self, message: Request, on_reply: Callable[[Any], None]) -> int:
        """Send; `on_reply` gets the reply, `Failed` included, by the leader with the lock held. Returns the rid.

        A connection that closes first gives `Failed(kind="connection_lost")`.
        """
        rid = next(self._rids)
        if self.is_closed:
            on_reply(Failed(kind="connection_lost", message="The connection is closed."))
            return rid
        message.rid = rid
        self._replies[rid] = on_reply
        self.send(message)
        return rid

    def reply(self, request: Request, message: Reply) -> None:
        message.rid = request.rid
        self.send(message)

    def flush(self) -> None:
        """Hand all buffered frames to the system, or as many as it takes now."""
        if self.is_closed or self._state == "connecting":
            return
        out = self.out
        try:
            while out and self._state == "open":
                del out[: self.sock.send(out)]
            if self._tls is not None:
                self._tls.push()
        except BlockingIOError:
            self._set_wants_write(True)
            return
        except (BrokenPipeError, ConnectionResetError):
            out.clear()  # it takes nothing any more; what it has said is read first, and its end behind that
        except OSError as error:
            self.reactor.lost(self, str(error))
            return
        if self.wants_write:
            self._set_wants_write(False)

    @property
    def has_unsent(self) -> bool:
        return bool(self.out) or (self._tls is not None and self._tls.has_sealed)

    def _set_wants_write(self, wanted: bool) -> None:
        self.wants_write = wanted
        mask = select.EPOLLIN | (select.EPOLLOUT if wanted else 0)
        with contextlib.suppress(FileNotFoundError, ValueError):  # closed meanwhile
            self.reactor.watch(self.fd, mask)

    def close(self, reason: str = "closed here") -> None:
        """Flush what the system takes and close; `handler.closed` is called. Locked."""
        if not self.is_closed:
            self.flush()
            self.reactor.lost(self, reason)

    # ---------------------------------------------------------- receiving (the leader)

    def handle(self, events: int) -> None:
        """The system says that the socket is readable or writable, or broken."""
        if events & select.EPOLLOUT and not self.is_closed:
            self._writable()
        if events & ~select.EPOLLOUT and not self.is_closed:
            self._readable()
            if self._tls is not None and self._tls.has_sealed and not self.is_closed:
                self._set_wants_write(True)

    def _readable(self) -> None:
        """Read once and handle the messages that are whole now."""
        try:
            data = self.sock.recv(_RECV_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            data, reason = b"", str(error)
            self.heard_all = self._handshake is None  # a Unix socket
        else:
            self.heard_all = not data
            reason = "closed by the peer" if self._state == "open" else tls.why_closed()
        if self.is_closed:
            return
        if not data:
            self.reactor.lost(self, reason)
            return
        try:
            if self._state != "open":
                data = self._shake(data)
                if not data:
                    return
            found = self._decoder.feed(data)
        except ConnectionError as error:
            if not isinstance(error, auth.AuthenticationFailed) or self._is_server:
                # As text: whoever keeps log records would keep the error's frames, and all that this thread refers to.
                logger.warning("Connection %r closed: %s", self, str(error))
            self.reactor.lost(self, str(error))
            return
        received, replies = self.handler.received, self._replies
        for message, payload in found:
            if isinstance(message, Reply):
                on_reply = replies.pop(message.rid, None)
                if on_reply is not None:
                    on_reply(message)
            else:
                received(self, message, payload)

    def _writable(self) -> None:
        if self._state == "connecting":
            error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self.reactor.lost(self, os.strerror(error))
                return
            assert self._handshake is not None
            self._state = "shaking"
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock.send(self._handshake.opening)  # 41 bytes into an empty buffer: never partial
            self._set_wants_write(self._tls is not None and self._tls.has_sealed)
        else:
            self.flush()

    def _shake(self, data: bytes) -> bytes:
        """Advance the handshake by `data`; what is left behind it."""
        assert self._handshake is not None
        answer, rest = self._handshake.feed(data)
        if answer:
            self.sock.send(answer)  # at most 73 bytes, as above
        if self._handshake.is_done:
            self._state = "open"
            self.flush()
        return rest

    @property
    def was_open(self) -> bool:
        """Whether the peer was ever reached: else nothing that was sent has left."""
        return self._state == "open"

    @property
    def is_unproven(self) -> bool:
        """Whether the peer came to us and has not proved the token yet."""
        return self._is_server and self._state != "open"

    def drop_unproven(self, reason: str) -> None:
        """Close if the peer has not proved the token yet. Locked."""
        if not self.is_closed and self._state != "open":
            logger.warning("Connection %r closed: %s", self, reason)
            self.reactor.lost(self, reason)

    def ended(self, reason: str) -> None:
        """The reactor has let go of it: tell those who wait for replies, and the handler. Locked."""
        self.is_closed = True
        self.out.clear()
        replies, self._replies = self._replies, {}
        for on_reply in replies.values():
            try:
                on_reply(Failed(kind="connection_lost", message=f"The connection was lost: {reason}"))
            except Exception:  # the others, and the handler, must hear of it all the same
                logger.exception("The loss of %r could not be told to one who waits for a reply.", self)
        try:
            self.handler.closed(self, reason)
        except Exception:  # whoever happened to send or wait has no part in it
            logger.exception("The loss of %r could not be handled.", self)


def unix_socket(path: str) -> socket.socket:
    """Connected to `path`. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def tcp_socket(host: str, port: int) -> socket.socket | tls.TlsSocket:
    """On its way to be connected. Raises OSError when there is no way."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setblocking(False)
    try:
        with contextlib.suppress(BlockingIOError):
            sock.connect((host, port))
        context = tls.client_context(host)
    except BaseException:
        sock.close()
        raise
    return sock if context is None else tls.TlsSocket(sock, context, host)
