"""Tells which files of one directory have changed, without polling where the system can (inotify).

Floor: agent, shell. `changed(names)` is called on the event loop; names may repeat, and an overflow of the kernel's
queue names every file of the directory. Where there is no inotify, a timer compares sizes.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import struct
import sys
from collections.abc import Callable

logger = logging.getLogger(__name__)
SETTLE_S = 0.02
"""After a change, further ones gather for this long: a worker that prints in a loop wakes this process 50 times a
second, not once a line. The first line of a quiet time is told at once."""
POLL_S = 0.1
_MODIFY, _CLOSE_WRITE, _CREATE, _OVERFLOW = 0x2, 0x8, 0x100, 0x4000
_HEAD = struct.Struct("iIII")
Changed = Callable[[set[str], set[str]], None]
"""Gets the names of changed files, and of those which a writer has closed."""


def watch(directory: str, changed: Changed) -> Callable[[], None]:
    """Begin to watch; returns what ends it. Must be called with the event loop running."""
    if sys.platform == "linux":
        try:
            return _Inotify(directory, changed).close
        except OSError as error:  # no instance left (fs.inotify.max_user_instances), or a kernel without
            logger.warning("No inotify (%s): the log files are polled every %s s.", error, POLL_S)
    return _Poller(directory, changed).close


class _Inotify:
    """Raises OSError where the kernel gives no inotify instance."""

    def __init__(self, directory: str, changed: Changed) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        if libc.inotify_add_watch(self._fd, os.fsencode(directory), _MODIFY | _CLOSE_WRITE | _CREATE) < 0:
            error = ctypes.get_errno()
            os.close(self._fd)
            raise OSError(error, os.strerror(error), directory)
        self._directory, self._changed = directory, changed
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        self._loop.remove_reader(self._fd)
        self._timer = self._loop.call_later(SETTLE_S, self._loop.add_reader, self._fd, self._readable)
        names, closed, overflow = parse_events(data)
        self._changed(names | set(os.listdir(self._directory)) if overflow else names, closed)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


def parse_events(data: bytes) -> tuple[set[str], set[str], bool]:
    """(changed, closed, overflow) of what the kernel wrote. Source: inotify(7), struct inotify_event."""
    names: set[str] = set()
    closed: set[str] = set()
    overflow, at = False, 0
    while at < len(data):
        _, mask, _, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
        at += length
        overflow = overflow or bool(mask & _OVERFLOW)
        if name:
            names.add(name)
            if mask & _CLOSE_WRITE:
                closed.add(name)
    return names, closed, overflow


class _Poller:
    def __init__(self, directory: str, changed: Changed) -> None:
        self._directory, self._changed = directory, changed
        self._sizes: dict[str, int] = {}
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_soon(self._look)

    def _look(self) -> None:
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(self._directory) if entry.is_file()}
        names = {name for name, size in sizes.items() if self._sizes.get(name) != size}
        self._sizes = sizes
        if names:
            self._changed(names, set())
        self._timer = self._loop.call_later(POLL_S, self._look)

    def close(self) -> None:
        self._timer.cancel()
