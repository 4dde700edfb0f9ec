"""Large values in pieces: cutting them up, and putting them together again in order. Floor: client, pure."""

from __future__ import annotations

from collections.abc import Iterator

from ray.util.client.settings import OBJECT_TRANSFER_CHUNK_SIZE


def count_chunks(size: int, chunk_size: int = OBJECT_TRANSFER_CHUNK_SIZE) -> int:
    """How many pieces `size` bytes make; an empty value is one empty piece."""
    return max((size + chunk_size - 1) // chunk_size, 1)


def split(data: bytes, chunk_size: int = OBJECT_TRANSFER_CHUNK_SIZE, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """(number, piece) from piece `start` on. One piece at a time is copied, never the whole value."""
    total = count_chunks(len(data), chunk_size)
    if total == 1 and start == 0:
        yield 0, bytes(data)
        return
    view = memoryview(data)
    for number in range(start, total):
        yield number, bytes(view[number * chunk_size : (number + 1) * chunk_size])


class ChunkError(ValueError):
    """A piece came that cannot be next: the sender is broken, or pieces were lost."""


class Assembly:
    """Pieces of one value as they come: in order, but after a reconnection again from any earlier one."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.is_complete = False

    @property
    def expected(self) -> int:
        """The number of the next piece."""
        return len(self._parts)

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self._parts))

    def add(self, number: int, total: int, piece: bytes) -> bytes | None:
        """Take a piece; the whole value when it was the last one. One that is here already changes nothing.

        Raises:
            ChunkError: a piece is missing before this one, or it is beyond the announced total.
        """
        total = max(total, 1)  # senders that never cut say nothing
        if not 0 <= number < total:
            raise ChunkError(f"Piece {number} of a value of {total} pieces cannot be.")
        if number < len(self._parts):
            return None
        if number > len(self._parts):
            raise ChunkError(f"Piece {number} of {total} came where piece {len(self._parts)} was expected.")
        self._parts.append(piece)
        if len(self._parts) < total:
            return None
        self.is_complete = True
        whole = self._parts[0] if total == 1 else b"".join(self._parts)
        self._parts = []
        return whole
