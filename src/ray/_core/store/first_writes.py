"""Writing to memory of the arena that this process has not written to before, or has no pages of in its map.

Floor: store. A page of the map that is touched for the first time costs a fault, and is cleared first if it is new.
CPU time for 800 MB (2 cores, tmpfs of small pages): 640 ms by faults into new memory, 350 ms by `pwrite`; 280 ms by
faults into memory that has pages, 180 ms by `pwrite`, 210 ms when the pages are mapped at once (`MADV_POPULATE_WRITE`)
and copied to; 60 ms where they are mapped already. So new memory is written as a file, and mapped the next time.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ray._core.common import overflow

BLOCK = 64 << 10
"""Bytes for which it is noted what they are."""
NEW, USED, MAPPED = range(3)
"""What a block is: perhaps without pages; with pages that this process has not mapped; mapped."""
TWO_THREADS_FROM = 32 << 20
"""Bytes that are worth a thread of their own."""


class FirstWrites:
    """Args: file: descriptor of the arena's file, of `size` bytes. whole: its map (and of what lies behind it)."""

    def __init__(self, file: int, whole: mmap.mmap, size: int) -> None:
        self._file = file
        self._map = whole
        self._blocks = bytearray(size // BLOCK)

    def renewed(self, offset: int, size: int) -> None:
        """Pages of it went back to the system meanwhile."""
        first, last = offset // BLOCK, min((offset + size) // BLOCK, len(self._blocks))
        if first < last:
            self._blocks[first:last] = bytes(last - first)

    def used(self, offset: int, size: int) -> None:
        """Others have written to it, so it has pages."""
        first, last = -(-offset // BLOCK), min((offset + size) // BLOCK, len(self._blocks))
        if first < last:
            self._blocks[first:last] = self._blocks[first:last].replace(b"%c" % NEW, b"%c" % USED)

    def write(self, offset: int, data: memoryview) -> None:
        """Raises OSError: the file system is full."""
        written = 0
        while written < data.nbytes:
            written += os.pwrite(self._file, data[written:], offset + written)

    def copy(self, offset: int, data: memoryview) -> bool:
        """Write `data` as to a file, by two threads when it is much. False: do it through the map, which is prepared.

        So it is for all that lies behind the arena, and for what is too short for a block. Raises OSError as `write`.
        """
        first, last = -(-offset // BLOCK), (offset + data.nbytes) // BLOCK
        if not first < last <= len(self._blocks):
            return False
        is_new = self._blocks.find(NEW, first, last) >= 0
        if not is_new and (self._blocks.find(USED, first, last) < 0 or self._populate(first, last)):
            return False
        _by_halves(lambda start, end: self.write(offset + start, data[start:end]), 0, data.nbytes)
        self._blocks[first:last] = bytes((USED,)) * (last - first)
        return True

    def _populate(self, first: int, last: int) -> bool:
        """Map the pages of these blocks. False: there is no memory for them."""
        try:
            _by_halves(lambda start, end: overflow.populate(self._map, start, end - start), first * BLOCK, last * BLOCK)
        except OSError as error:
            if error.errno != errno.EINVAL:  # else the kernel is older than this: each page costs its fault
                return False
        self._blocks[first:last] = bytes((MAPPED,)) * (last - first)
        return True


def _by_halves(work: Callable[[int, int], None], start: int, end: int) -> None:
    """Do all from `start` to `end`, by two threads when it is much."""
    if end - start < TWO_THREADS_FROM:
        work(start, end)
        return
    middle = (start + end) // 2 // mmap.PAGESIZE * mmap.PAGESIZE
    with ThreadPoolExecutor(1) as other:
        rest = other.submit(work, middle, end)
        work(start, middle)
        rest.result()
