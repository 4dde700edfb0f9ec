"""This process's window on its node's shared memory, and the slabs it allocates objects in.

Floor: store. `SlabAllocator` is pure; `Arena` maps the file. The raylet owns the file and hands out extents of it
(slabs); inside its slabs a process allocates by itself, with no message.
"""

from __future__ import annotations

import contextlib
import mmap
import os

from ray._core.common import overflow
from ray._core.store.first_writes import FirstWrites
from ray._core.store.serialization import align


class Slab:
    """One extent of the arena, cut from its front; space freed inside it is reused last-in first-out.

    `free_space` lists holes as (offset, size), offsets absolute. A slab with nothing in it starts over.
    """

    __slots__ = ("for_one", "holes", "live", "offset", "size", "top")

    def __init__(self, offset: int, size: int, for_one: bool = False) -> None:
        self.offset = offset
        self.size = size
        self.for_one = for_one
        self.top = offset
        self.live: dict[int, int] = {}
        self.holes: list[tuple[int, int]] = []

    def allocate(self, size: int) -> int | None:
        """The offset of `size` bytes (a multiple of 64), or None when no hole is large enough."""
        for number in range(len(self.holes) - 1, -1, -1):
            start, hole = self.holes[number]
            if hole >= size:
                if hole == size:
                    del self.holes[number]
                else:
                    self.holes[number] = (start + size, hole - size)
                self.live[start] = size
                return start
        if self.top + size > self.offset + self.size:
            return None
        start = self.top
        self.top += size
        self.live[start] = size
        return start

    def free(self, offset: int) -> None:
        size = self.live.pop(offset)
        if not self.live:
            self.top, self.holes = self.offset, []
        elif offset + size == self.top:
            self.top = offset
        else:
            self.holes.append((offset, size))


class SlabAllocator:
    """Objects of one process in its slabs."""

    def __init__(self, slab_size: int) -> None:
        self.slab_size = slab_size
        self._slabs: dict[int, Slab] = {}
        self._slab_of: dict[int, Slab] = {}
        self._current: list[Slab] = []

    def __repr__(self) -> str:
        return f"<SlabAllocator slabs={len(self._slabs)} objects={len(self._slab_of)}>"

    def allocate(self, size: int) -> int | None:
        """Room for `size` bytes in a slab held already; None: ask the raylet for `slab_for(size)` bytes first."""
        size = align(size)
        for slab in reversed(self._current):
            offset = slab.allocate(size)
            if offset is not None:
                self._slab_of[offset] = slab
                return offset
        return None

    def slab_for(self, size: int) -> tuple[int, bool]:
        """How large a slab to ask for, and whether it is for this object alone, as is one above half a slab."""
        size = align(size)
        return (size, True) if size > self.slab_size // 2 else (self.slab_size, False)

    def add_slab(self, offset: int, size: int, needed: int, for_one: bool = False) -> int:
        """Take a slab that the raylet has granted, and allocate the object for which it was asked in it."""
        slab = self._slabs[offset] = Slab(offset, size, for_one)
        if not for_one:
            self._current.append(slab)
        start = slab.allocate(size if for_one else align(needed))
        assert start is not None
        self._slab_of[start] = slab
        return start

    def sealed(self, offset: int) -> None:
        """The object at `offset` can be read; a slab for it alone is the raylet's from now on."""
        slab = self._slab_of[offset]
        if slab.for_one:
            del self._slab_of[offset], self._slabs[slab.offset]

    def free(self, offset: int) -> int | None:
        """Free the object at `offset`; the offset of its slab when that is empty now and should be given back.

        One empty ordinary slab is kept, so that a process which puts and frees in a loop asks once.
        """
        slab = self._slab_of.pop(offset, None)
        if slab is None:
            return None
        slab.free(offset)
        if slab.live:
            return None
        if not slab.for_one:
            if sum(not other.live for other in self._current) <= 1:
                return None
            self._current.remove(slab)
        del self._slabs[slab.offset]
        return slab.offset


class Arena:
    """The node's shared-memory file, mapped whole, and behind it the file for what does not fit (see `overflow`).

    Pages that nobody touched cost nothing.
    """

    def __init__(self, path: str, size: int, overflow_path: str = "", overflow_size: int = 0) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if overflow_size:
                self.map = overflow.map_behind(self._file, size, overflow_path, overflow_size)
            else:
                self.map = mmap.mmap(self._file, size)
        except BaseException:
            os.close(self._file)
            raise
        self.size = size
        self._view = memoryview(self.map)
        self.first_writes = FirstWrites(self._file, self.map, size)

    def window(self, offset: int, size: int) -> memoryview:
        """Writable bytes, for whoever allocated them."""
        return self._view[offset : offset + size]

    def clear(self, offset: int, size: int) -> None:
        """Zeros; as a file where that can be, since a map into a full file system ends the process.

        Raises:
            OSError: the file system is full.
        """
        if offset + size <= self.size:
            self.first_writes.write(offset, memoryview(bytes(size)))
        else:
            self.window(offset, size)[:] = bytes(size)

    def make_private(self, offset: int, size: int) -> None:
        """From now on this process alone has these bytes, and what shares their pages. Raises OSError."""
        overflow.make_private(self.map, offset, size)

    def close(self) -> None:
        """Unmap; with views still alive the mapping stays until they go (or the process ends)."""
        os.close(self._file)
        self._view.release()
        with contextlib.suppress(BufferError):  # user values still lie on it: their views keep the mapping
            self.map.close()
