"""A plain blocking client: for the CLI, `ray.init` and the tests, which ask a question or two and go.

Floor: wire, shell.
"""

from __future__ import annotations

import socket
import ssl
import time
from types import TracebackType
from typing import Any, Self

from ray._core.common.messages import Failed, Hello, Message, Request, StorageTrouble
from ray._core.wire import auth, codec, tls


class RemoteError(Exception):
    """The peer answered `Failed`."""

    def __init__(self, kind: str, message: str, detail: bytes = b"") -> None:
        super().__init__(message)
        self.kind, self.message, self.detail = kind, message, detail


def connect_tcp(host: str, port: int, token: bytes, timeout_s: float = 10.0) -> socket.socket:
    """A connected blocking socket, secured if RAY_USE_TLS is set, which has proved the token.

    Raises:
        OSError: nobody listens, or the time is over; a subclass, TlsFailed, when it could not be secured.
        AuthenticationFailed: the handshake failed.
    """
    sock = socket.create_connection((host, port), timeout_s)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock = tls.wrap(sock, tls.client_context(host), host)
        auth.handshake_blocking(sock, token)
    except ssl.SSLError as error:  # with TLS 1.3 a server refuses our certificate only after its own handshake
        sock.close()
        raise tls.TlsFailed(f"The connection could not be secured by TLS: {tls.explain(error)}.") from error
    except BaseException:
        sock.close()
        raise
    return sock


def connect_unix(path: str, timeout_s: float = 10.0) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(timeout_s)
    try:
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


class Client:
    """Requests one at a time over a blocking socket; of one-way messages that come in between only what delays the
    answer is noted."""

    def __init__(self, sock: socket.socket, hello: Hello) -> None:
        self._sock = sock
        self._decoder = codec.FrameDecoder()
        self._rid = 0
        self._trouble = ""
        """Why the peer may be long in answering, as it has told."""
        self._ready: list[tuple[Any, bytes]] = []
        sock.sendall(codec.encode(hello))

    def request(self, message: Request, timeout_s: float = 30.0) -> Any:
        """Send and wait for the reply.

        Raises:
            RemoteError: the peer answered `Failed`.
            TimeoutError: no answer in time; with the reason, if the peer has told one.
            ConnectionError: the peer has gone.
        """
        self._rid += 1
        message.rid = self._rid
        deadline_at_s = time.monotonic() + timeout_s
        self._sock.settimeout(timeout_s)
        self._sock.sendall(codec.encode(message))
        while True:
            try:
                received = self._receive(deadline_at_s)
            except TimeoutError as error:
                raise TimeoutError(
                    f"No answer to {type(message).__name__} in {timeout_s:g} s. {self._trouble}".strip()
                ) from error
            for reply, _ in received:
                if getattr(reply, "rid", None) != self._rid or isinstance(reply, Request):
                    continue
                if isinstance(reply, Failed):
                    raise RemoteError(reply.kind, reply.message, reply.detail)
                return reply

    def send(self, message: Message) -> None:
        """One way. Raises ConnectionError: the peer has gone."""
        self._sock.sendall(codec.encode(message))

    def next_messages(self, timeout_s: float) -> list[Any]:
        """One-way messages, as soon as there are any; none when the time is over.

        Raises:
            ConnectionError: the peer has gone.
        """
        deadline_at_s = time.monotonic() + timeout_s
        while True:
            try:
                received = self._receive(deadline_at_s)
            except TimeoutError:
                return []
            if received or time.monotonic() >= deadline_at_s:
                return [message for message, _ in received]

    def _receive(self, deadline_at_s: float) -> list[tuple[Any, bytes]]:
        self._sock.settimeout(max(deadline_at_s - time.monotonic(), 0.001))
        data = self._sock.recv(1 << 18)
        if not data:
            raise ConnectionResetError("The peer closed the connection before it answered.")
        found = []
        for message, payload in self._decoder.feed(data):
            if isinstance(message, StorageTrouble):
                self._trouble = message.text
            else:
                found.append((message, payload))
        return found

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
