"""Extents of the arena and of the overflow behind it: which process has which part. Floor: raylet, pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping

PAGE = 4096


class ExtentAllocator:
    """Best fit with coalescing. Of equal holes the lowest is taken, so a loop of put and free meets warm pages."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.live: dict[int, int] = {}
        self.used = 0
        self._holes: list[tuple[int, int]] = [(0, size // PAGE * PAGE)]  # (offset, size), by offset

    def __repr__(self) -> str:
        return f"<ExtentAllocator {self.used} of {self.size} bytes in use>"

    def allocate(self, size: int) -> tuple[int, int] | None:
        """(offset, size rounded up to pages), or None when no hole is large enough."""
        size = max(-(-size // PAGE) * PAGE, PAGE)
        fitting = [(hole, offset) for offset, hole in self._holes if hole >= size]
        if not fitting:
            return None
        hole, offset = min(fitting)
        self._holes.remove((offset, hole))
        if hole > size:
            insort(self._holes, (offset + size, hole - size))
        self.live[offset] = size
        self.used += size
        return offset, size

    def free(self, offset: int) -> None:
        size = self.live.pop(offset)
        self.used -= size
        at = bisect_left(self._holes, (offset, 0))
        if at < len(self._holes) and self._holes[at][0] == offset + size:
            size += self._holes.pop(at)[1]
        if at and sum(self._holes[at - 1]) == offset:
            before, before_size = self._holes.pop(at - 1)
            offset, size = before, before_size + size
        insort(self._holes, (offset, size))


class TieredExtents:
    """Shared memory first; the overflow on disk has the offsets behind it."""

    def __init__(self, size: int, overflow_size: int = 0) -> None:
        self.size = size
        self._memory = ExtentAllocator(size)
        self.start_of_disk = -(-size // PAGE) * PAGE
        self._disk = ExtentAllocator(overflow_size)

    def __repr__(self) -> str:
        return f"<TieredExtents {self.used} of {self.size} bytes in use, and {self._disk.used} on disk>"

    @property
    def used(self) -> int:
        """Bytes of shared memory."""
        return self._memory.used

    @property
    def used_on_disk(self) -> int:
        return self._disk.used

    @property
    def live(self) -> Mapping[int, int]:
        """Sizes of the extents in shared memory, by offset."""
        return self._memory.live

    def size_of(self, offset: int) -> int:
        inside = self.on_disk(offset)
        return self._memory.live[offset] if inside is None else self._disk.live[inside]

    def allocate(self, size: int) -> tuple[int, int] | None:
        """(offset, size) in shared memory; None when it is too full."""
        return self._memory.allocate(size)

    def allocate_on_disk(self, size: int) -> tuple[int, int] | None:
        extent = self._disk.allocate(size)
        return None if extent is None else (self.start_of_disk + extent[0], extent[1])

    def on_disk(self, offset: int) -> int | None:
        """Where in the overflow an extent lies; None: it is in shared memory."""
        return offset - self.start_of_disk if offset >= self.start_of_disk else None

    def free(self, offset: int) -> int:
        """Returns its size."""
        inside = self.on_disk(offset)
        allocator, at = (self._memory, offset) if inside is None else (self._disk, inside)
        size = allocator.live[at]
        allocator.free(at)
        return size
