"""TLS for every TCP connection between processes, by Ray's variables: each side checks the other's certificate.

Floor: wire. RAY_USE_TLS=1 with RAY_TLS_SERVER_CERT, RAY_TLS_SERVER_KEY and RAY_TLS_CA_CERT (PEM files), the same way on
all nodes and clients: whoever speaks plainly is refused. A peer's certificate must be signed by the CA, and that of who
was connected to must name the host. The token is proved inside (`auth`). Source: Ray docs, "TLS authentication".

`Context` users: asyncio by its `ssl` argument, blocking sockets by `wrap`, the reactor by `TlsSocket`.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)
VARIABLES = ("RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")
_AT_ONCE = 256 * 1024
"""Bytes that are encrypted before the system has taken what was: bounds what waits in memory twice."""
_REASONS = {
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS (set RAY_USE_TLS=1 and the certificates there too)",
    "UNEXPECTED_EOF_WHILE_READING": "the peer closed the connection; does it use TLS (RAY_USE_TLS=1)",
    "HTTP_REQUEST": "the peer speaks HTTP",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer has shown no certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not trust our certificate: its RAY_TLS_CA_CERT is of another authority",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the peer asks for our certificate",
}
_CLOSED = "The peer closed the connection during the TLS handshake; does it use TLS (RAY_USE_TLS=1)?"


class TlsFailed(ConnectionError):
    """The connection could not be secured: a certificate is not right, or the peer speaks plainly."""


def uses_tls(environ: Mapping[str, str] = os.environ) -> bool:
    return environ.get("RAY_USE_TLS", "").lower() in ("1", "true")


def files(environ: Mapping[str, str] = os.environ) -> tuple[str, str, str]:
    """Paths of the certificate, its key, and the CA's certificate. Raises RuntimeError when one is not named."""
    missing = [name for name in VARIABLES if not environ.get(name)]
    if missing:
        raise RuntimeError(
            "If the environment variable RAY_USE_TLS is set to true then RAY_TLS_SERVER_CERT, RAY_TLS_SERVER_KEY and "
            f"RAY_TLS_CA_CERT must also be set. Not set: {', '.join(missing)}."
        )
    certificate, key, authority = (environ[name] for name in VARIABLES)
    return certificate, key, authority


def load_certs_from_env() -> tuple[bytes, bytes, bytes]:
    """Certificate, key and CA certificate as PEM. Raises RuntimeError as `files`; OSError when one is not there."""
    certificate, key, authority = (Path(path).read_bytes() for path in files())
    return certificate, key, authority


def server_context() -> ssl.SSLContext | None:
    """For who accepts; None: RAY_USE_TLS is not set. Raises as `client_context`."""
    return _context(files(), True, False) if uses_tls() else None


def client_context(host: str) -> ssl.SSLContext | None:
    """For who connects to `host`; None: RAY_USE_TLS is not set.

    Raises:
        RuntimeError: a file is not named or cannot be used; the text says which and why.
    """
    return _context(files(), False, _is_address(host)) if uses_tls() else None


@functools.lru_cache
def _context(paths: tuple[str, str, str], is_server: bool, by_address: bool) -> ssl.SSLContext:
    certificate, key, authority = paths
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as error:
        raise RuntimeError(
            f"TLS cannot be used: {error}. RAY_TLS_SERVER_CERT={certificate}, RAY_TLS_SERVER_KEY={key} and "
            f"RAY_TLS_CA_CERT={authority} must be PEM files that this user can read, and the key the certificate's."
        ) from error
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = not is_server and not by_address  # addresses: see `names_address`
    context.sslobject_class = _Object
    context.sslsocket_class = _Socket
    return context


def explain(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the peer's certificate is not right: {error.verify_message}"
    return _REASONS.get(error.reason or "", str(error))


def why_closed() -> str:
    """What to tell of a peer that closed the connection during the handshake: it could not say why."""
    if uses_tls():
        why = "It may not trust this process's certificate (RAY_TLS_SERVER_CERT); its log says why."
    else:
        why = "If it uses TLS, set RAY_USE_TLS=1 and the certificates here too."
    return f"The peer closed the connection during the handshake. {why}"


def names_address(certificate: Mapping[str, Any], host: str) -> bool:
    """Whether a certificate (as `getpeercert` gives it) names this IP address.

    Also as a DNS name, as those do that Ray's own helper makes: gRPC takes them, OpenSSL would not.
    """
    for kind, name in certificate.get("subjectAltName", ()):
        if kind == "DNS" and name == host:
            return True
        if kind == "IP Address" and ipaddress.ip_address(name.strip()) == ipaddress.ip_address(host):
            return True
    return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _shaken(end: ssl.SSLObject | ssl.SSLSocket) -> None:
    """The handshake has succeeded: check what OpenSSL was not asked to."""
    host = end.server_hostname
    if not end.server_side and not end.context.check_hostname:
        certificate = end.getpeercert() or {}
        if host is None or not names_address(certificate, host):
            error = ssl.SSLCertVerificationError(1, f"the certificate does not name {host}")
            error.verify_message = f"it does not name {host}, but {certificate.get('subjectAltName')}"
            raise error


class _Object(ssl.SSLObject):
    def do_handshake(self) -> None:
        try:
            super().do_handshake()
            _shaken(self)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if self.server_side:  # asyncio tells nobody
                logger.warning("A TLS connection was refused: %s.", explain(error))
            raise


class _Socket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        _shaken(self)


def wrap(sock: socket.socket, context: ssl.SSLContext | None, host: str | None = None) -> socket.socket:
    """Secure a blocking socket, of who connected to `host`, or accepted (None). Without a context it stays as it is.

    Raises:
        TlsFailed: it cannot be secured; `sock` is closed.
        OSError: the connection broke, or its time is over.
    """
    if context is None:
        return sock
    try:
        return context.wrap_socket(sock, server_side=host is None, server_hostname=host)
    except ssl.SSLError as error:
        sock.close()
        raise TlsFailed(f"The connection could not be secured by TLS: {explain(error)}.") from error
    except ConnectionError as error:
        sock.close()
        raise TlsFailed(f"{_CLOSED} ({error})") from error


class TlsSocket:
    """A non-blocking socket as the reactor uses it, with TLS in between.

    BlockingIOError means, as ever: again when the socket is readable or writable. While `has_sealed`, bytes that
    `send` has taken wait for the socket to become writable: call `push` then.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str | None) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_side=host is None, server_hostname=host)
        self._sealed = b""
        self._early = b""
        self._is_open = False
        self.fileno, self.setblocking, self.close = sock.fileno, sock.setblocking, sock.close
        self.getsockopt, self.setsockopt = sock.getsockopt, sock.setsockopt

    @property
    def has_sealed(self) -> bool:
        """Whether there are encrypted bytes that the system has not taken."""
        return bool(self._sealed) or self._outgoing.pending > 0

    def recv(self, size: int) -> bytes:
        """What came from one read of `size` bytes, decrypted; b"": the peer has closed. Raises TlsFailed."""
        ended = False
        with contextlib.suppress(BlockingIOError):
            data = self._sock.recv(size)
            ended = not data
            self._incoming.write(data)
        if not self._is_open:
            if ended:
                raise TlsFailed(_CLOSED)
            self._shake()
        pieces = []
        try:
            while piece := self._ssl.read(size):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as error:
            raise TlsFailed(f"The TLS connection broke: {explain(error)}.") from error
        if not pieces and not ended:
            raise BlockingIOError
        return b"".join(pieces)

    def send(self, data: bytes | bytearray) -> int:
        """Take some of the bytes; returns how many. Raises BlockingIOError while earlier ones have not left."""
        self.push()
        if not self._is_open:
            self._early += data
            with contextlib.suppress(BlockingIOError):
                self._shake()
            return len(data)
        with memoryview(data)[:_AT_ONCE] as some:
            self._seal(some)
            return len(some)

    def push(self) -> None:
        """Hand encrypted bytes to the system. Raises BlockingIOError while some are left."""
        while self.has_sealed:
            self._sealed = self._sealed or self._outgoing.read()
            self._sealed = self._sealed[self._sock.send(self._sealed) :]

    def _seal(self, data: bytes | memoryview) -> None:
        if data:
            self._ssl.write(data)  # all of it: memory has no limit
        with contextlib.suppress(BlockingIOError):
            self.push()

    def _shake(self) -> None:
        """Go on with the handshake. Raises BlockingIOError when the peer's turn has come, or TlsFailed."""
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            self._seal(b"")
            raise BlockingIOError from None
        except ssl.SSLError as error:
            with contextlib.suppress(OSError):
                self.push()  # the alert, by which the peer knows why
            raise TlsFailed(f"The connection could not be secured by TLS: {explain(error)}.") from error
        self._is_open = True
        early, self._early = self._early, b""
        self._seal(early)
