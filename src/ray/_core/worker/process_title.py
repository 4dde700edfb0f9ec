"""What `ps` and `top` show of a worker: `ray::IDLE`, `ray::f`, `ray::Counter`, `ray::Counter.add`.

Floor: worker, shell. The kernel reads a process's command line from the process's own memory (proc(5), arg_start in
/proc/pid/stat), so writing there costs no system call: 0.2 µs, which every call can afford. The short name that `top`
shows (16 bytes) costs one, and follows only when a call waits or runs for more than a millisecond.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from pathlib import Path

IDLE = "IDLE"
_ARG_START, _ARG_END = 45, 46  # of the fields behind the command's name; 48 and 49 as proc(5) counts
_MOST_CACHED = 1000
_MOST_SHOWN = 256
"""Bytes. There may be more room, all of which would be written with each name."""


@functools.cache
def _arguments() -> tuple[int, int]:
    """Where the command line lies in memory, and how many bytes it has; (0, 0) without /proc. The same in all forks."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
    except (OSError, IndexError, ValueError):
        return 0, 0
    return start, max(end - start, 0)


class ProcessTitle:
    """`name` is what is shown now, without the prefix. Where there is no /proc nothing is shown."""

    def __init__(self, prefix: str = "ray::") -> None:
        self.name = ""
        self._prefix = prefix
        self._padded: dict[str, bytes] = {}
        self._short = ""
        start, room = _arguments()
        self._room = min(room, _MOST_SHOWN)
        # Kept as a view of bytes: assigning to it is four times as quick as ctypes.memmove.
        self._region = memoryview((ctypes.c_char * self._room).from_address(start)).cast("B") if start else None
        if room > self._room:
            ctypes.memset(start + self._room, 0, room - self._room)

    def show(self, name: str) -> None:
        """Have the process called so."""
        if name == self.name:
            return
        self.name = name
        if self._region is not None:
            self._region[:] = self._padded.get(name) or self._pad(name)
            if self._short and name == IDLE:
                self.show_short()

    def show_short(self) -> None:
        """Let the short name follow. From any thread."""
        short = f"{self._prefix}{self.name}"[:15]
        if short != self._short and self._region is not None:
            self._short = short
            path = f"/proc/self/task/{os.getpid()}/comm"
            with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:  # a hardened kernel refuses
                file.write(short.encode())

    def _pad(self, name: str) -> bytes:
        if len(self._padded) >= _MOST_CACHED:  # tasks with a name of their own each
            self._padded.clear()
        padded = f"{self._prefix}{name}".encode()[: self._room - 1].ljust(self._room, b"\0")
        self._padded[name] = padded
        return padded
