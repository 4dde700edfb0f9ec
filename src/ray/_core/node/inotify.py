"""Tells which files of one directory have changed, from the kernel where it can.

Floor: node, shell. Linux: one inotify watch on the directory, through the C library that Python has loaded already.
Elsewhere (or when the user's watches are used up) `open_watch` gives None and the caller polls.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from pathlib import Path

IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x002, 0x040, 0x080, 0x100, 0x200
IN_Q_OVERFLOW = 0x4000
_EVENT = struct.Struct("iIII")
_READ_SIZE = 64 * 1024
"""One read takes about 700 events; the kernel merges a file's event with an equal one right before it."""


class DirectoryWatch:
    """One watched directory. `fileno` is readable when something has changed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def read(self) -> set[str] | None:
        """Names of the files that changed since the last call; None when too much happened to tell (look at all)."""
        names: set[str] = set()
        overflowed = False
        while True:
            try:
                data = os.read(self._descriptor, _READ_SIZE)
            except BlockingIOError:
                break
            start = 0
            while start < len(data):
                _, mask, _, size = _EVENT.unpack_from(data, start)
                start += _EVENT.size
                overflowed = overflowed or bool(mask & IN_Q_OVERFLOW)
                if name := data[start : start + size].rstrip(b"\0"):
                    names.add(os.fsdecode(name))
                start += size
            if len(data) < _READ_SIZE // 2:  # drained; what comes meanwhile makes the descriptor readable again
                break
        return None if overflowed else names

    def close(self) -> None:
        os.close(self._descriptor)


def open_watch(directory: Path) -> DirectoryWatch | None:
    """Watch `directory`; None where that is not possible."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        return None
    mask = IN_MODIFY | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE
    if library.inotify_add_watch(descriptor, os.fsencode(directory), mask) < 0:
        os.close(descriptor)
        return None
    return DirectoryWatch(descriptor)
