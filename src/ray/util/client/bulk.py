"""The bulk connection: large values between a client and its server without gRPC. Floor: client; frames are pure.

gRPC copies each byte four times and moves about 1 GB/s through one process, half of that through two; a plain socket
writes from the value's own memory and reads into where it stays. Only our own clients and servers have one, and only
where the client reaches the server's port (always on one machine); all else takes the way of gRPC. Who connects proves
that he holds the cluster's token, as between nodes, and says which client he is.

A frame:  u64 number | u8 kind | u32 n | u64 size of the pickle | n x u64 sizes | pickle | buffers
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from ray._core.wire import auth
from ray.util.client.buffer_pool import BufferPool

RAW, PICKLE = 0, 1
"""Kinds: the pickle's place holds the bytes of a `bytes` object; or a pickle, with `n` buffers out of band."""
NO_BULK = -1
"""Tells a client that its server takes no bulk connections; 0 would be an original server, which has no such field."""
LEAST_SIZE = 1 << 20
"""Bytes: smaller values are not worth another connection's order."""
_HEAD = struct.Struct("<QBIQ")
_MOST_BUFFERS = 1 << 20
_CONNECT_S = 2.0


class Frame(NamedTuple):
    """What is announced before the bytes come."""

    number: int
    kind: int
    pickle_size: int
    sizes: tuple[int, ...]


def encode(frame: Frame) -> bytes:
    head = _HEAD.pack(frame.number, frame.kind, len(frame.sizes), frame.pickle_size)
    return head + struct.pack(f"<{len(frame.sizes)}Q", *frame.sizes)


def send(sock: socket.socket, number: int, kind: int, pickled: Any, buffers: Sequence[Any]) -> None:
    """Send a frame, from the buffers' own memory. Raises OSError."""
    views = [memoryview(buffer).cast("B") for buffer in buffers]
    frame = Frame(number, kind, len(pickled), tuple(view.nbytes for view in views))
    sock.sendall(encode(frame))
    sock.sendall(pickled)
    for view in views:
        sock.sendall(view)


def receive_frame(sock: socket.socket) -> Frame | None:
    """The next announcement; None when the peer has closed. Raises OSError, or ValueError for what is no frame."""
    head = bytearray(_HEAD.size)
    try:
        receive_into(sock, memoryview(head))
    except EOFError:
        return None
    number, kind, count, pickle_size = _HEAD.unpack(head)
    if count > _MOST_BUFFERS or kind not in (RAW, PICKLE):
        raise ValueError(f"This is no frame of a bulk connection: kind {kind}, {count} buffers.")
    sizes = bytearray(8 * count)
    receive_into(sock, memoryview(sizes))
    return Frame(number, kind, pickle_size, struct.unpack(f"<{count}Q", sizes))


def receive_into(sock: socket.socket, target: memoryview) -> None:
    """Fill `target`. Raises EOFError when the peer closes before."""
    position = 0
    while position < target.nbytes:
        size = sock.recv_into(target[position:])
        if not size:
            raise EOFError("The bulk connection was closed in the middle of a value.")
        position += size


class BulkClient:
    """The client's end. It connects in a thread of its own; before that, and after a failure, `is_open` is False."""

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id
        self._sock: socket.socket | None = None
        self._send_lock = threading.Lock()
        self._arrived = threading.Condition()
        self._values: dict[int, tuple[bytes | bytearray, list[Any]]] = {}
        self._last_number = 0
        self._pool = BufferPool(LEAST_SIZE)

    @property
    def is_open(self) -> bool:
        return self._sock is not None

    def connect_later(self, host: str, port: int) -> None:
        threading.Thread(target=self._connect, args=(host, port), name="ray-client-bulk", daemon=True).start()

    def _connect(self, host: str, port: int) -> None:
        try:
            sock = socket.create_connection((host, port), _CONNECT_S)
            auth.handshake_blocking(sock, auth.load_token())
            sock.sendall(self._client_id.encode())
            sock.settimeout(None)
        except OSError:
            return  # a firewall, another machine, a tunnel: gRPC does it all
        self._sock = sock
        self._read(sock)

    def number(self) -> int:
        """A new number for a value, in either direction."""
        with self._arrived:
            self._last_number += 1
            return self._last_number

    def send(self, kind: int, pickled: Any, buffers: Sequence[Any]) -> int | None:
        """Send a value; its number. None: that failed, and there is no connection any more."""
        sock, number = self._sock, self.number()
        if sock is None:
            return None
        try:
            with self._send_lock:
                send(sock, number, kind, pickled, buffers)
        except OSError:
            self.close()
            return None
        return number

    def _read(self, sock: socket.socket) -> None:
        """The thread that receives values."""
        try:
            while (frame := receive_frame(sock)) is not None:
                pickled = bytearray(frame.pickle_size)
                receive_into(sock, memoryview(pickled))
                buffers = [self._pool.take(size) for size in frame.sizes]
                for buffer in buffers:
                    receive_into(sock, memoryview(buffer).cast("B"))
                with self._arrived:
                    self._values[frame.number] = (pickled, buffers)
                    self._arrived.notify_all()
        except (OSError, EOFError, ValueError):
            pass  # whoever waits for a value asks again without us
        self.close()

    def take(self, number: int) -> tuple[bytes | bytearray, list[Any]] | None:
        """Wait for a value that the server has sent: its pickle and buffers; None: the connection broke before."""
        with self._arrived:
            self._arrived.wait_for(lambda: number in self._values or self._sock is None)
            return self._values.pop(number, None)

    def close(self) -> None:
        with self._arrived:
            sock, self._sock = self._sock, None
            self._arrived.notify_all()
        if sock is not None:
            with contextlib.suppress(OSError):  # the peer has closed it
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
