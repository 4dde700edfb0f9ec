"""Frames: bytes in, whole messages out, and back.

Floor: wire, pure (sans-IO). A frame is

    u32 length of the header | u32 length of the payload | header (msgpack of one message) | payload (raw bytes)

little-endian. The payload never goes through msgpack, so large data is neither copied nor scanned to build a frame.
"""

from __future__ import annotations

import functools
import operator
import struct
from collections.abc import Callable
from typing import Any

import msgspec

from ray._core.common import messages

_PREFIX = struct.Struct("<II")
PREFIX_SIZE = _PREFIX.size
MAX_HEADER = 1 << 30
"""A header carries inline values: at worst ten thousand arguments of 100 KiB each; nobody sends more on purpose."""
MAX_PAYLOAD = 64 << 20
"""A payload is one chunk of an object (4 MiB by default)."""

Buffer = bytes | bytearray | memoryview

_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[Buffer], Any] = msgspec.msgpack.Decoder(functools.reduce(operator.or_, messages.ALL)).decode


class ProtocolError(ConnectionError):
    """The peer sent what is no frame of this protocol. The connection must be closed; nothing else is touched."""


def encode(message: Any) -> bytes:
    """One frame without payload."""
    header = _encode(message)
    return _PREFIX.pack(len(header), 0) + header


def encode_with_payload(message: Any, payload_size: int) -> bytes:
    """The frame up to its payload, which the caller sends behind it, from wherever it lies."""
    header = _encode(message)
    return _PREFIX.pack(len(header), payload_size) + header


def sizes(prefix: Buffer, max_header: int = MAX_HEADER, max_payload: int = MAX_PAYLOAD) -> tuple[int, int]:
    """Of header and payload, as the first `PREFIX_SIZE` bytes of a frame announce them. Raises ProtocolError."""
    header_size, payload_size = _PREFIX.unpack_from(prefix)
    if header_size > max_header or payload_size > max_payload:
        raise _oversized(header_size, payload_size, max_header, max_payload)
    return header_size, payload_size


def _oversized(header_size: int, payload_size: int, max_header: int, max_payload: int) -> ProtocolError:
    return ProtocolError(
        f"A frame announces {header_size} + {payload_size} bytes; allowed are {max_header} + {max_payload}. "
        "The peer speaks another protocol."
    )


def decode(header: Buffer) -> Any:
    """The message of a header. Raises ProtocolError."""
    try:
        return _decode(header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"A frame's header is no message: {error}") from error


class FrameDecoder:
    """Cuts a stream of bytes into messages; keeps an unfinished frame for the next call."""

    __slots__ = ("_buffer", "max_header", "max_payload")

    def __init__(self, max_header: int = MAX_HEADER, max_payload: int = MAX_PAYLOAD) -> None:
        self._buffer = bytearray()
        self.max_header = max_header
        self.max_payload = max_payload

    def feed(self, data: Buffer) -> list[tuple[Any, bytes]]:
        """All messages that are now whole, each with its payload (b"" for most).

        Raises:
            ProtocolError: a length beyond the limits, or a header that is no message. Messages before the bad frame
                are lost too: the connection is closed in any case.
        """
        buffer: Buffer
        if self._buffer:
            self._buffer += data
            buffer = self._buffer
        else:
            buffer = data
        size, start = len(buffer), 0
        found: list[tuple[Any, bytes]] = []
        view = memoryview(buffer)
        try:
            while (header_start := start + PREFIX_SIZE) <= size:
                header_size, payload_size = _PREFIX.unpack_from(view, start)
                if header_size > self.max_header or payload_size > self.max_payload:
                    raise _oversized(header_size, payload_size, self.max_header, self.max_payload)
                header_end = header_start + header_size
                end = header_end + payload_size
                if end > size:
                    break
                message = decode(view[header_start:header_end])
                found.append((message, bytes(view[header_end:end]) if payload_size else b""))
                start = end
        finally:
            view.release()
        if buffer is self._buffer:
            del self._buffer[:start]
        elif start < size:
            self._buffer += memoryview(data)[start:]
        return found

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame."""
        return len(self._buffer)
