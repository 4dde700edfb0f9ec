"""What stands before each object in shared memory: whose bytes these are, and whether they may be read.

Floor: common, pure (it writes into buffers that it is given). A reader that knows only a place must make sure that the
object is still there: the raylet moves objects to disk when memory is short. The order of steps makes that safe without
a lock: a reader registers its view first and looks at the header then; the raylet marks the header first and then asks
each process for its views. Whoever comes second sees the other. Whoever uses the memory anew clears the header first,
so that it never vouches for an object that is being overwritten.
"""

from __future__ import annotations

HEADER_SIZE = 64
"""Bytes; as much as the alignment of objects."""
_ID_SIZE = 28
_READABLE, _LEAVING = b"\x01", b"\x02"


def write(buffer: memoryview, object_id: bytes) -> None:
    """Into the first bytes of `buffer`, once the object behind it is whole."""
    buffer[: _ID_SIZE + 1] = object_id + _READABLE


def is_readable(buffer: memoryview, object_id: bytes) -> bool:
    """Whether the object behind this header is `object_id` and stays."""
    return bytes(buffer[: _ID_SIZE + 1]) == object_id + _READABLE


def set_leaving(buffer: memoryview, leaving: bool) -> None:
    """The object is about to go, or stays after all."""
    buffer[_ID_SIZE : _ID_SIZE + 1] = _LEAVING if leaving else _READABLE


def clear(buffer: memoryview) -> None:
    """There is no object here any more."""
    buffer[: _ID_SIZE + 1] = bytes(_ID_SIZE + 1)
