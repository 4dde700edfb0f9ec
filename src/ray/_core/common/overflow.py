"""Where a node's objects go when its shared memory is full: a sparse file without a name, mapped behind the arena.

Floor: common, shell. The raylet makes it and hands out extents of it; other processes of the node open it through
`/proc/<pid>/fd`, so nothing is left of it once they have ended, however they ended. The kernel writes its pages to
the disk when it needs the memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import mmap
import os
import tempfile

_log = logging.getLogger(__name__)
_PUNCH_HOLE_KEEP_SIZE = 0x03
_FIXED_SHARED = mmap.MAP_SHARED | 0x10
_NO_RESERVE = 0x4000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
_libc.mmap.restype = ctypes.c_void_p
_libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
_libc.mremap.restype = ctypes.c_void_p
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_MAYMOVE_FIXED = 0x3
_POPULATE_WRITE = 23


def allocate(fd: int, offset: int, size: int) -> bool:
    """Take room for a part of a sparse file. False: its file system is full; nothing of that part is kept."""
    try:
        os.posix_fallocate(fd, offset, size)
    except OSError as error:
        _log.warning("No room for %s bytes of objects: %s", size, error.strerror)
        give_back(fd, offset, size)
        return False
    return True


def give_back(fd: int, offset: int, size: int) -> None:
    """These bytes of a file are zero from now on, and take no room. Where the file system cannot, nothing happens."""
    _libc.fallocate(fd, _PUNCH_HOLE_KEEP_SIZE, offset, size)


class Overflow:
    """The file, in the process that made it. `size` bytes may be reserved in all, `path` is for others of the node."""

    def __init__(self, directory: str, most_of_disk: float) -> None:
        with tempfile.TemporaryFile(dir=directory) as file:
            self._fd = os.dup(file.fileno())
        disk = os.fstatvfs(self._fd)
        usable = disk.f_bavail * disk.f_frsize - (1 - most_of_disk) * disk.f_blocks * disk.f_frsize
        self.size = max(int(usable) // mmap.PAGESIZE * mmap.PAGESIZE, 0)
        if not self.size:
            raise ValueError(f"The disk of {directory} is full above {most_of_disk:.0%}.")
        os.ftruncate(self._fd, self.size)
        self.path = f"/proc/{os.getpid()}/fd/{self._fd}"

    def reserve(self, offset: int, size: int) -> bool:
        """Take room on the disk, so that writing through the map cannot fail. False: the disk is full."""
        return allocate(self._fd, offset, size)

    def release(self, offset: int, size: int) -> None:
        """Give the room back to the disk. Where the file system cannot, it is kept for the next object."""
        give_back(self._fd, offset, size)

    def close(self) -> None:
        os.close(self._fd)


def map_behind(arena_fd: int, arena_size: int, path: str, size: int) -> mmap.mmap:
    """One map of the arena and, behind it, of the overflow. Raises OSError: not so much address space is allowed."""
    arena_size = -(-arena_size // mmap.PAGESIZE) * mmap.PAGESIZE
    overflow_fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        whole = mmap.mmap(-1, arena_size + size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE)
        address = _address(whole)
        _map_over(address, arena_size, arena_fd)
        _map_over(address + arena_size, size, overflow_fd)
    finally:
        os.close(overflow_fd)
    with contextlib.suppress(AttributeError, OSError, ValueError):  # not Linux: core dumps are larger, that is all
        whole.madvise(mmap.MADV_DONTDUMP)
    return whole


def _address(whole: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(whole))


def populate(whole: mmap.mmap, offset: int, size: int) -> None:
    """Have these bytes, pages whole, ready to be written without a fault (other threads go on meanwhile).

    Raises OSError: EINVAL, the kernel cannot (before Linux 5.14); others, there is no memory.
    """
    if _libc.madvise(_address(whole) + offset, size, _POPULATE_WRITE):
        number = ctypes.get_errno()
        raise OSError(number, f"madvise of {size} bytes: {os.strerror(number)}")


def _map_over(address: int, size: int, fd: int) -> None:
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    if _libc.mmap(address, size, protection, _FIXED_SHARED, fd, 0) != address:
        number = ctypes.get_errno()
        raise OSError(number, f"mmap of {size} bytes: {os.strerror(number)}")


def make_private(whole: mmap.mmap, offset: int, size: int) -> None:
    """Put a copy of these bytes of a shared map in their place, pages whole: what others write is not seen any more.

    Raises OSError: no memory for the copy.
    """
    start = offset // mmap.PAGESIZE * mmap.PAGESIZE
    length = -(-(offset + size - start) // mmap.PAGESIZE) * mmap.PAGESIZE
    address = _address(whole) + start
    copy = _libc.mmap(None, length, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if copy == ctypes.c_void_p(-1).value:
        number = ctypes.get_errno()
        raise OSError(number, f"No memory for a private copy of {length} bytes: {os.strerror(number)}")
    ctypes.memmove(copy, address, length)
    if _libc.mremap(copy, length, length, _MAYMOVE_FIXED, address) != address:
        number = ctypes.get_errno()
        raise OSError(number, f"mremap of {length} bytes: {os.strerror(number)}")
