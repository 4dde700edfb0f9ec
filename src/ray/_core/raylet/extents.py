"""Extents of the arena: which process has which part of the shared memory. Floor: raylet, pure."""

from __future__ import annotations

from bisect import bisect_left, insort

PAGE = 4096


class ExtentAllocator:
    """Best fit with coalescing. Of equal holes the lowest is taken, so a loop of put and free meets warm pages."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.live: dict[int, int] = {}
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
        return offset, size

    def free(self, offset: int) -> None:
        size = self.live.pop(offset)
        at = bisect_left(self._holes, (offset, 0))
        if at < len(self._holes) and self._holes[at][0] == offset + size:
            size += self._holes.pop(at)[1]
        if at and sum(self._holes[at - 1]) == offset:
            before, before_size = self._holes.pop(at - 1)
            offset, size = before, before_size + size
        insort(self._holes, (offset, size))

    @property
    def used(self) -> int:
        return sum(self.live.values())
