"""The handshake that comes before the first frame of every TCP connection, and the token it proves.

Floor: wire. The sans-IO part is `Handshake`: mutual HMAC-SHA256 challenge, fixed sizes, so that before it succeeds
nothing of a stranger's is parsed, and no more of it kept than one read gives. Whoever lacks the token learns nothing
but a random number.

    client > server   magic, client nonce
    server > client   magic, server nonce, HMAC(SHA-256(token), "server" + both nonces)
    client > server   HMAC(SHA-256(token), "client" + both nonces)

Unix sockets skip it: they lie in a directory of mode 0700 and the peer's uid is checked.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

from ray._core.wire import tls

MAGIC = b"pure-ray\x02"
NONCE_SIZE = 32
PROOF_SIZE = hashlib.sha256().digest_size
CLIENT_HELLO_SIZE = len(MAGIC) + NONCE_SIZE
SERVER_HELLO_SIZE = len(MAGIC) + NONCE_SIZE + PROOF_SIZE


class AuthenticationFailed(ConnectionError):
    """The peer does not hold this cluster's token, or is no pure-ray process at all."""


def _proof(token: bytes, role: bytes, client_nonce: bytes, server_nonce: bytes) -> bytes:
    key = hashlib.sha256(token).digest()  # HMAC fills short keys up with zeros: tokens that end in some would be equal
    return hmac.new(key, role + client_nonce + server_nonce, hashlib.sha256).digest()


class ServerHandshake:
    """The accepting side. Feed it `CLIENT_HELLO_SIZE` bytes, send the answer, feed it `PROOF_SIZE` bytes."""

    def __init__(self, token: bytes) -> None:
        self._token = token
        self._server_nonce = secrets.token_bytes(NONCE_SIZE)
        self._client_nonce = b""

    def challenge(self, client_hello: bytes) -> bytes:
        if client_hello[: len(MAGIC)] != MAGIC:
            raise AuthenticationFailed("The peer does not speak pure-ray's protocol.")
        self._client_nonce = client_hello[len(MAGIC) :]
        proof = _proof(self._token, b"server", self._client_nonce, self._server_nonce)
        return MAGIC + self._server_nonce + proof

    def verify(self, client_proof: bytes) -> None:
        expected = _proof(self._token, b"client", self._client_nonce, self._server_nonce)
        if not hmac.compare_digest(expected, client_proof):
            raise AuthenticationFailed("The peer's token is not this cluster's.")


class ClientHandshake:
    """The connecting side: send `hello`, feed it `SERVER_HELLO_SIZE` bytes, send the proof it returns."""

    def __init__(self, token: bytes) -> None:
        self._token = token
        self._nonce = secrets.token_bytes(NONCE_SIZE)
        self.hello = MAGIC + self._nonce

    def answer(self, server_hello: bytes) -> bytes:
        if server_hello[: len(MAGIC)] != MAGIC:
            raise AuthenticationFailed("The peer does not speak pure-ray's protocol.")
        server_nonce = server_hello[len(MAGIC) : len(MAGIC) + NONCE_SIZE]
        expected = _proof(self._token, b"server", self._nonce, server_nonce)
        proof = server_hello[-PROOF_SIZE:]
        if not hmac.compare_digest(expected, proof):
            raise AuthenticationFailed(self._why_refused(proof, server_nonce))
        return _proof(self._token, b"client", self._nonce, server_nonce)

    def _why_refused(self, proof: bytes, server_nonce: bytes) -> str:
        if not self._token:
            return "Authentication token is missing: the cluster asks for one, and this process has none."
        if hmac.compare_digest(_proof(b"", b"server", self._nonce, server_nonce), proof):
            return (
                "The cluster runs without token authentication, and this process has a token. "
                "Set RAY_AUTH_MODE=disabled for this process too, if that is meant."
            )
        return "Authentication token is incorrect: the cluster holds another token than this process."


class Handshake:
    """One side's part over a stream that comes in pieces: send `opening`, then `feed` what comes until `is_done`."""

    __slots__ = ("_buffer", "_client", "_is_challenged", "_server", "is_done", "opening")

    def __init__(self, token: bytes, is_server: bool) -> None:
        self.is_done = False
        self._buffer = b""
        self._is_challenged = False
        self._server = ServerHandshake(token) if is_server else None
        self._client = None if is_server else ClientHandshake(token)
        self.opening = b"" if self._client is None else self._client.hello

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """What to send now, and what came behind the handshake.

        Raises:
            AuthenticationFailed: tokens differ, or the peer is something else; close the connection.
        """
        buffer = self._buffer = self._buffer + data
        if not self._is_challenged and buffer[: len(MAGIC)] != MAGIC[: len(buffer)]:
            raise AuthenticationFailed(_what_else(buffer))
        if self._client is not None:
            if len(buffer) < SERVER_HELLO_SIZE:
                return b"", b""
            answer, rest = self._client.answer(buffer[:SERVER_HELLO_SIZE]), buffer[SERVER_HELLO_SIZE:]
        else:
            assert self._server is not None
            answer = b""
            if not self._is_challenged:
                if len(buffer) < CLIENT_HELLO_SIZE:
                    return b"", b""
                self._is_challenged = True
                answer, buffer = self._server.challenge(buffer[:CLIENT_HELLO_SIZE]), buffer[CLIENT_HELLO_SIZE:]
            if len(buffer) < PROOF_SIZE:
                self._buffer = buffer
                return answer, b""
            self._server.verify(buffer[:PROOF_SIZE])
            rest = buffer[PROOF_SIZE:]
        self.is_done, self._buffer = True, b""
        return answer, rest


def _what_else(hello: bytes) -> str:
    """What a peer speaks that does not speak our protocol, by its first bytes (TLS records: RFC 8446, section 5.1)."""
    if hello[:1] in (b"\x15", b"\x16"):
        return "The peer speaks TLS, and this process does not: set RAY_USE_TLS=1 and the certificates here too."
    return "The peer does not speak pure-ray's protocol."


def handshake_blocking(sock: socket.socket, token: bytes) -> None:
    """Run the client's side on a blocking socket.

    Raises:
        AuthenticationFailed: tokens differ, or the peer is something else.
        OSError: the connection broke.
    """
    client = ClientHandshake(token)
    sock.sendall(client.hello)
    sock.sendall(client.answer(_receive(sock, SERVER_HELLO_SIZE)))


def accept_blocking(sock: socket.socket, token: bytes) -> None:
    """Run the server's side on a blocking socket. Raises as `handshake_blocking`."""
    server = ServerHandshake(token)
    sock.sendall(server.challenge(_receive(sock, CLIENT_HELLO_SIZE)))
    server.verify(_receive(sock, PROOF_SIZE))


def _receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise AuthenticationFailed(tls.why_closed())
        data += part
    return data


def check_unix_peer(sock: socket.socket) -> None:
    """Refuse a Unix-socket peer that runs as another user (root may connect anywhere)."""
    if not hasattr(socket, "SO_PEERCRED"):  # macOS: the socket's directory (0700) is the guard
        return
    uid = _peer(sock)[1]
    if uid not in (os.geteuid(), 0):
        raise AuthenticationFailed(f"A process of uid {uid} tried to connect; this one runs as {os.geteuid()}.")


def unix_peer_pid(sock: socket.socket) -> int:
    """The process that has connected, as this process's own namespace numbers it; 0 where the kernel does not tell."""
    return _peer(sock)[0] if hasattr(socket, "SO_PEERCRED") else 0


def _peer(sock: socket.socket) -> tuple[int, int, int]:
    """Its process, user and group."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("3i", credentials)
    return pid, uid, gid


def token_mode(environ: Mapping[str, str] = os.environ) -> str:
    """RAY_AUTH_MODE: "token", "disabled", or "" when it is not set. Raises ValueError for anything else."""
    mode = environ.get("RAY_AUTH_MODE", "").strip().lower()
    if mode not in ("", "token", "disabled"):
        raise ValueError(f'RAY_AUTH_MODE={mode!r} is neither "token" nor "disabled".')
    return mode


def token_path(environ: Mapping[str, str] = os.environ) -> Path:
    return Path(environ.get("RAY_AUTH_TOKEN_PATH") or default_token_path())


def default_token_path() -> Path:
    return Path.home() / ".ray" / "auth_token"


def find_token(environ: Mapping[str, str] = os.environ) -> str:
    """The token that this process was given: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token; "" without any.

    Raises:
        AuthenticationFailed: RAY_AUTH_TOKEN_PATH names a file that cannot be read, or an empty one.
    """
    if token := environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    named = environ.get("RAY_AUTH_TOKEN_PATH")
    try:
        token = token_path(environ).read_text().strip()
    except OSError as error:
        if named:
            raise AuthenticationFailed(
                f"RAY_AUTH_TOKEN_PATH is set, but the token file {named} cannot be read: {error.strerror}."
            ) from error
        return ""
    if named and not token:
        raise AuthenticationFailed(f"RAY_AUTH_TOKEN_PATH is set, but the token file {named} is empty.")
    return token


def create_token() -> str:
    """A new token in ~/.ray/auth_token, readable by this user alone; the one that is there, if there is one."""
    path = default_token_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".auth_token_{secrets.token_hex(8)}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    try:
        os.link(part, path)  # whole or not at all: others may read it at this moment
    except FileExistsError:
        if not path.read_text().strip():
            os.replace(part, path)
            return path.read_text().strip()
    part.unlink()
    return path.read_text().strip()


def load_token(enabled: bool = True, create: bool = False) -> bytes:
    """What this process proves to its cluster; b"" when token authentication is off, or there is no token.

    Args:
        enabled: the cluster's setting.
        create: make a token when there is none, as a process does which starts a cluster.
    Raises:
        AuthenticationFailed: RAY_AUTH_MODE=token and there is none; or the named file cannot be read.
        ValueError: a RAY_AUTH_MODE that does not exist.
    """
    mode = token_mode()
    if not enabled or mode == "disabled":
        return b""
    token = find_token() or (create_token() if create else "")
    if not token and mode == "token":
        raise AuthenticationFailed("Token authentication is enabled but no authentication token was found.")
    return token.encode()
