"""The handshake that comes before the first frame of every TCP connection, and the token it proves.

Floor: wire. The sans-IO part is `Handshake`: mutual HMAC-SHA256 challenge, fixed sizes, so that before it succeeds
nothing of a stranger's is parsed. Whoever lacks the token learns nothing but a random number.

    client > server   magic, client nonce
    server > client   magic, server nonce, HMAC(token, "server" + both nonces)
    client > server   HMAC(token, "client" + both nonces)

Unix sockets skip it: they lie in a directory of mode 0700 and the peer's uid is checked.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import socket
import struct
from pathlib import Path

MAGIC = b"pure-ray\x01"
NONCE_SIZE = 32
PROOF_SIZE = hashlib.sha256().digest_size
CLIENT_HELLO_SIZE = len(MAGIC) + NONCE_SIZE
SERVER_HELLO_SIZE = len(MAGIC) + NONCE_SIZE + PROOF_SIZE


class AuthenticationFailed(ConnectionError):
    """The peer does not hold this cluster's token, or is no pure-ray process at all."""


def _proof(token: bytes, role: bytes, client_nonce: bytes, server_nonce: bytes) -> bytes:
    return hmac.new(token, role + client_nonce + server_nonce, hashlib.sha256).digest()


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
        if not hmac.compare_digest(expected, server_hello[-PROOF_SIZE:]):
            raise AuthenticationFailed(
                "The cluster holds another token than this process. Copy the head's token file "
                "(ray get-auth-token prints it), or set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH."
            )
        return _proof(self._token, b"client", self._nonce, server_nonce)


def handshake_blocking(sock: socket.socket, token: bytes) -> None:
    """Run the client's side on a blocking socket.

    Raises:
        AuthenticationFailed: tokens differ, or the peer is something else.
        OSError: the connection broke.
    """
    client = ClientHandshake(token)
    sock.sendall(client.hello)
    hello = b""
    while len(hello) < SERVER_HELLO_SIZE:
        part = sock.recv(SERVER_HELLO_SIZE - len(hello))
        if not part:
            raise AuthenticationFailed("The peer closed the connection during the handshake.")
        hello += part
    sock.sendall(client.answer(hello))


def check_unix_peer(sock: socket.socket) -> None:
    """Refuse a Unix-socket peer that runs as another user (root may connect anywhere)."""
    if not hasattr(socket, "SO_PEERCRED"):  # macOS: the socket's directory (0700) is the guard
        return
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid = struct.unpack("3i", credentials)[1]
    if uid not in (os.geteuid(), 0):
        raise AuthenticationFailed(f"A process of uid {uid} tried to connect; this one runs as {os.geteuid()}.")


def token_path(environ: dict[str, str] | os._Environ[str] = os.environ) -> Path:
    return Path(environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def load_token(enabled: bool = True, create: bool = False) -> bytes:
    """This cluster's token: `RAY_AUTH_TOKEN`, else the token file; with `create`, a new file when there is none.

    Args:
        enabled: False (token authentication switched off) gives b"", which both sides then prove to each other.
    Raises:
        AuthenticationFailed: there is no token and `create` is False; or the file may be read by others.
    """
    if not enabled or os.environ.get("RAY_AUTH_MODE", "").lower() == "disabled":
        return b""
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token.encode()
    path = token_path()
    if not path.exists():
        if not create:
            raise AuthenticationFailed(
                f"This cluster asks for a token and there is none in RAY_AUTH_TOKEN or {path}. "
                "Copy the head's token (ray get-auth-token prints it)."
            )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:  # another process was quicker; its token is as good
            return load_token()
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    return path.read_text().strip().encode()
