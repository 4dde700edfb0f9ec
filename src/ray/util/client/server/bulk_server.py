"""The server's end of bulk connections: uploads go from the socket into the object store. Floor: client, shell."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from typing import Any

from ray._core.store import serialization
from ray._core.wire import auth
from ray._private.auto_init_hook import connected_core
from ray.util.client import bulk
from ray.util.client.server.client_state import ClientState

log = logging.getLogger(__name__)
_HANDSHAKE_S = 10.0
_UPLOAD_S = 60.0
"""How long the order to put waits for its value, which was sent before it."""


class _Arriving(serialization.Serialized):
    """A value whose bytes are still in the socket: written where it belongs as they come."""

    __slots__ = ("_pickle_size", "_sizes", "_sock")

    def __init__(self, sock: socket.socket, frame: bulk.Frame) -> None:
        self._sock = sock
        self._sizes = frame.sizes
        self.kind = _kind_of(frame)
        self.inband = b""
        self.buffers = []
        self.refs = []
        self.size = serialization.size_of(self.kind, frame.pickle_size, frame.sizes)
        self._pickle_size = frame.pickle_size

    def write_into(self, target: memoryview, write: object = None) -> None:
        """As `Serialized.write_into`. Raises OSError or EOFError when the rest does not come."""
        places = serialization.lay_out(target, self.kind, self._pickle_size, self._sizes)
        for start, size in zip(places, (self._pickle_size, *self._sizes), strict=True):
            bulk.receive_into(self._sock, target[start : start + size])

    def to_blob(self) -> bytes:
        target = bytearray(self.size)
        self.write_into(memoryview(target))
        return bytes(target)


def _kind_of(frame: bulk.Frame) -> int:
    if frame.kind == bulk.RAW:
        return serialization.RAW
    return serialization.BUFFERS if frame.sizes else serialization.PICKLE


class Connection:
    """One client's bulk connection, in a thread of its own."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._send_lock = threading.Lock()
        self._arrived = threading.Condition()
        self._uploads: dict[int, Any] = {}
        self.is_open = True

    def serve(self) -> None:
        """Take values until the client closes."""
        try:
            while (frame := bulk.receive_frame(self._sock)) is not None:
                ref = connected_core().values.put_serialized(_Arriving(self._sock, frame))
                with self._arrived:
                    self._uploads[frame.number] = ref
                    self._arrived.notify_all()
        except Exception as error:
            log.info("A bulk connection ended: %r", error)
        finally:
            self.close()

    def take_upload(self, number: int) -> Any:
        """The ref of a value that the client has sent. Raises ConnectionError when it did not come."""
        with self._arrived:
            self._arrived.wait_for(lambda: number in self._uploads or not self.is_open, _UPLOAD_S)
            ref = self._uploads.pop(number, None)
        if ref is None:
            raise ConnectionError("The value was lost: the bulk connection broke.")
        return ref

    def send(self, number: int, pickled: bytes, buffers: list[Any]) -> bool:
        """Whether the value was sent."""
        try:
            with self._send_lock:
                bulk.send(self._sock, number, bulk.PICKLE, pickled, buffers)
        except OSError:
            self.close()
            return False
        return True

    def close(self) -> None:
        with self._arrived:
            self.is_open = False
            self._arrived.notify_all()
        with contextlib.suppress(OSError):  # the peer has closed it
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


class BulkServer:
    """Listens from its constructor until `stop`.

    Args:
        client_of: the state of a client by its id; None when there is none.
    """

    def __init__(self, host: str, token: bytes, client_of: Any) -> None:
        self._token = token
        self._client_of = client_of
        self._listening = socket.create_server((host, 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, name="ray-client-bulk", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return  # stopped
            threading.Thread(target=self._greet, args=(sock,), name="ray-client-bulk", daemon=True).start()

    def _greet(self, sock: socket.socket) -> None:
        """Let the client prove itself, then serve it."""
        try:
            sock.settimeout(_HANDSHAKE_S)
            handshake = auth.ServerHandshake(self._token)
            sock.sendall(handshake.challenge(_read(sock, auth.CLIENT_HELLO_SIZE)))
            handshake.verify(_read(sock, auth.PROOF_SIZE))
            client: ClientState | None = self._client_of(_read(sock, 32).decode())
            sock.settimeout(None)
        except (OSError, EOFError, ValueError) as error:
            log.info("A bulk connection was refused: %s", error)
            sock.close()
            return
        if client is None:
            sock.close()
            return
        client.bulk = connection = Connection(sock)
        connection.serve()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


def _read(sock: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    bulk.receive_into(sock, memoryview(data))
    return bytes(data)
