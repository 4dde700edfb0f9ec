"""The sockets of a core worker: opened, accepted, let go of; and what is buffered for them.

Floor: wire, shell. A `reactor.Reactor` polls them and says when they are handled. Everything here is locked. A shortage
of file descriptors is waited out: the peers have no part in it.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import select
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

from ray._core.wire import auth, tls
from ray._core.wire.connection import Connection, Handler, tcp_socket, unix_socket

logger = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT_S = 60.0
"""A stranger who connects and says nothing is dropped after this. Longer than in `aio`: the peer may be a worker whose
user code keeps the interpreter to itself for a while. Who connects to a silent peer waits until its node is dead."""
SHORTAGE_PAUSE_S = 0.1
"""Who wants a descriptor when there is none tries again after this."""
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Sockets(ABC):
    """What is polled, by descriptor: connections, and what takes new ones."""

    def __init__(self) -> None:
        self._poll: select.epoll
        self._by_fd: dict[int, Connection | Callable[[], None]] = {}
        self.dirty: list[Connection] = []
        self.unsent = 0
        """Frames buffered since the last flush."""
        self._is_short = False  # of descriptors, and has said so

    @abstractmethod
    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Call `callback` (locked) after `delay_s`."""

    def add(
        self, sock: socket.socket | tls.TlsSocket, handler: Handler, token: bytes | None, is_server: bool
    ) -> Connection:
        """Take a connected socket over. `token` None: a Unix socket, no handshake."""
        connection = Connection(self, handler, token, is_server)
        self._attach(connection, sock)
        return connection

    def connect_unix(self, path: str, handler: Handler) -> Connection:
        """Raises OSError when nobody listens there (the peer's process has ended)."""
        connection = Connection(self, handler, None, is_server=False)
        self._open(connection, partial(unix_socket, path))
        return connection

    def connect_tcp(self, host: str, port: int, handler: Handler, token: bytes) -> Connection:
        """Begin to connect; a failure comes as `handler.closed`."""
        connection = Connection(self, handler, token, is_server=False)
        try:
            self._open(connection, partial(tcp_socket, host, port))
        except OSError as error:  # no route to it, say: known at once, but told as any other failure
            self.call_later(0.0, partial(self.lost, connection, str(error)))
        return connection

    def _open(self, connection: Connection, open_socket: Callable[[], socket.socket | tls.TlsSocket]) -> None:
        """Give the connection its socket; when descriptors are short, later: the peer has no part in that.

        Raises OSError when there is nobody to connect to.
        """
        try:
            sock = open_socket()
        except OSError as error:
            if error.errno not in _SHORTAGES:
                raise
            if not self._is_short:
                logger.warning("A connection waits for a file descriptor (%s): raise `ulimit -n`.", error.strerror)
                self._is_short = True
            self.call_later(SHORTAGE_PAUSE_S, partial(self._open_again, connection, open_socket))
        else:
            self._is_short = False
            self._attach(connection, sock)

    def _open_again(self, connection: Connection, open_socket: Callable[[], socket.socket | tls.TlsSocket]) -> None:
        if connection.is_closed:
            return
        try:
            self._open(connection, open_socket)
        except OSError as error:
            self.lost(connection, str(error))
        else:
            connection.flush()

    def _attach(self, connection: Connection, sock: socket.socket | tls.TlsSocket) -> None:
        sock.setblocking(False)
        connection.attach(sock)
        self._by_fd[connection.fd] = connection
        self._poll.register(connection.fd, select.EPOLLIN | (select.EPOLLOUT if connection.wants_write else 0))
        if connection.is_unproven:
            silent = partial(connection.drop_unproven, "The peer did not finish the handshake.")
            self.call_later(HANDSHAKE_TIMEOUT_S, silent)

    def listen(self, sock: socket.socket, handler: Handler, token: bytes | None) -> None:
        """Accept connections of a listening socket; `handler` gets their messages."""
        sock.setblocking(False)
        context = None if token is None else tls.server_context()

        def accept() -> None:
            try:
                peer, _ = sock.accept()
            except OSError as error:
                if error.errno in _SHORTAGES:
                    self._make_room(sock, accept, error)
                return  # else the peer has gone again
            try:
                if token is None:
                    auth.check_unix_peer(peer)
            except auth.AuthenticationFailed as error:
                logger.warning("Connection refused: %s", str(error))  # see Connection._readable
                peer.close()
                return
            end = peer if context is None else tls.TlsSocket(peer, context, None)
            self.add(end, handler, token, is_server=True)

        self._by_fd[sock.fileno()] = accept
        self._poll.register(sock.fileno(), select.EPOLLIN)

    def _make_room(self, listening: socket.socket, accept: Callable[[], None], error: OSError) -> None:
        """Descriptors are short. The stranger who has been silent longest makes room, so that strangers alone keep
        nobody out; without one, whoever waits in the backlog waits longer, since polling for it would spin."""
        for entry in self._by_fd.values():
            if isinstance(entry, Connection) and entry.is_unproven:
                entry.drop_unproven("Descriptors are short, and the peer had not proved the token.")
                return
        fd = listening.fileno()
        logger.warning("No connections are taken for %g s: %s.", SHORTAGE_PAUSE_S, error.strerror)
        self._poll.unregister(fd)

        def resume() -> None:
            if self._by_fd.get(fd) is accept:
                self._poll.register(fd, select.EPOLLIN)

        self.call_later(SHORTAGE_PAUSE_S, resume)

    def watch(self, fd: int, mask: int) -> None:
        """Hear of other events of a socket. Raises FileNotFoundError or ValueError when it is closed."""
        self._poll.modify(fd, mask)

    def lost(self, connection: Connection, reason: str) -> None:
        """The connection is over: let go of its socket, and tell who must know."""
        if connection.is_closed:
            return
        if connection.fd >= 0:  # else it still waits for a socket
            del self._by_fd[connection.fd]
            with contextlib.suppress(OSError, ValueError):
                self._poll.unregister(connection.fd)
            connection.sock.close()
        connection.ended(reason)

    def flush(self) -> None:
        """Send everything that is buffered. Locked."""
        self.unsent = 0
        while self.dirty:
            dirty, self.dirty = self.dirty, []
            for connection in dirty:
                connection.flush()

    def has_unsent(self) -> bool:
        """Whether some connection has frames that the system has not taken yet. Locked."""
        return any(isinstance(each, Connection) and each.has_unsent for each in self._by_fd.values())
