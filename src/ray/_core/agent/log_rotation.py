"""Keeps log files below a size: what is old moves to `name.1`, and so on; the oldest goes.

Floor: agent, shell; what the file begins with afterwards is decided purely (`first_block`). Writers need to know
nothing of it: all of them append, so the beginning of a file can be taken away under them (`FALLOC_FL_COLLAPSE_RANGE`),
and not a byte that they write meanwhile is lost. Where the file system cannot do that, the file is emptied at a moment
when nobody seems to write; a line written in these microseconds is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import functools
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping

logger = logging.getLogger(__name__)
ROTATED = re.compile(r"(?!job-driver-).*\.(out|err|log)")
"""A job's own log is given to its user whole."""
MAX_BYTES, BACKUPS = 512 << 20, 5
_COLLAPSE = 0x8
_COPY = 8 << 20


def limits(environ: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Bytes of a file (0: any number), and how many old ones stay. Raises ValueError for what is no such number."""
    return (
        _number(environ, "RAY_ROTATION_MAX_BYTES", MAX_BYTES),
        _number(environ, "RAY_ROTATION_BACKUP_COUNT", BACKUPS),
    )


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not text.isdigit():
        raise ValueError(f"{name}={text!r} is no whole number, 0 or more.")
    return int(text)


def first_block(old: bytes, header: bytes, notice: bytes, footer: bytes) -> tuple[bytes, int] | None:
    """What stands at the beginning of a file once all before has gone, in place of the block `old`. Pure.

    The block has the size of `old`: header, a notice made longer to fit, footer, and the beginning of the line that
    goes on behind the block. Returns it and the length of that beginning; None when there is no room for them, or the
    line began before the block.
    """
    newline = old.rfind(b"\n")
    rest = old[newline + 1 :]
    room = len(old) - len(header) - len(footer) - len(rest) - 1
    if newline < 0 or room < len(notice):
        return None
    return header + notice.ljust(room, b".") + b"\n" + footer + rest, len(rest)


class Rotator:
    """Files of one directory."""

    def __init__(self, log_dir: str, max_bytes: int, backups: int) -> None:
        self._log_dir, self._max_bytes, self._backups = log_dir, max_bytes, backups
        self._block = os.statvfs(log_dir).f_bsize
        self._under_way: set[str] = set()

    def is_due(self, name: str, size: int) -> bool:
        return 0 < self._max_bytes < size and name not in self._under_way and ROTATED.fullmatch(name) is not None

    def cut_before(self, upto: int) -> int:
        """Where a file would be cut: at the end of its last whole block."""
        return upto // self._block * self._block

    async def rotate(self, name: str, upto: int, header: bytes = b"", footer: bytes = b"") -> int:
        """Move the file's beginning, at most `upto` bytes, to `name.1`.

        Args:
            header, footer: what the file then begins with, around the notice of where the rest is.
        Returns:
            By how much everything behind has moved up. 0: nothing was done; it may be tried again.
        """
        self._under_way.add(name)
        path = os.path.join(self._log_dir, name)
        try:
            with _locked(path) as descriptor:
                if descriptor is None or os.fstat(descriptor).st_size <= self._max_bytes:
                    return 0  # an agent of another node on this machine was faster
                if _can_collapse(self._log_dir, self._block):
                    return await self._cut(descriptor, path, upto, header, footer)
                return self._empty(descriptor, path, upto, header + footer)
        except OSError:
            logger.exception("The log %s could not be rotated.", name)
            return 0
        finally:
            self._under_way.discard(name)

    async def _cut(self, descriptor: int, path: str, upto: int, header: bytes, footer: bytes) -> int:
        end, block = self.cut_before(upto), self._block
        if end < 2 * block:
            return 0
        notice = f"[what was written before is in {os.path.basename(path)}.1 ".encode()
        begins = first_block(os.pread(descriptor, block, end - block), header, notice, footer)
        if begins is None:
            return 0
        await asyncio.to_thread(self._copy, descriptor, path, end - begins[1])
        self._shift(path)
        _collapse(descriptor, end - block)
        os.pwrite(descriptor, begins[0], 0)
        return end - block

    def _empty(self, descriptor: int, path: str, upto: int, begins: bytes) -> int:
        """Blocks while it copies, since nobody may read on meanwhile."""
        self._copy(descriptor, path, upto)
        if os.fstat(descriptor).st_size != upto:
            return 0  # somebody is writing
        os.ftruncate(descriptor, 0)
        self._shift(path)
        with open(path, "ab") as file:
            file.write(begins)
        return upto - len(begins)

    def _copy(self, descriptor: int, path: str, size: int) -> None:
        """Copy the file's first `size` bytes; `_shift` makes the copy its newest backup."""
        if not self._backups:
            return
        with open(os.open(f"{path}.partial", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
            position = 0
            while data := os.pread(descriptor, min(_COPY, size - position), position):
                target.write(data)
                position += len(data)

    def _shift(self, path: str) -> None:
        """Each backup gets the next number; the last one goes."""
        if not self._backups:
            return
        for number in range(self._backups - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{path}.{number}", f"{path}.{number + 1}")
        os.replace(f"{path}.partial", f"{path}.1")


@contextlib.contextmanager
def _locked(path: str) -> Iterator[int | None]:
    """A descriptor of the file, which nobody else rotates meanwhile; None when somebody does."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield descriptor
    finally:
        os.close(descriptor)


def _collapse(descriptor: int, size: int) -> None:
    """Take the first `size` bytes, whole blocks, out of the file. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if libc.fallocate(descriptor, _COLLAPSE, 0, size):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@functools.cache
def _can_collapse(directory: str, block: int) -> bool:
    """Whether the directory's file system can take the beginning of a file away."""
    with tempfile.TemporaryFile(dir=directory) as file:
        file.truncate(2 * block)
        try:
            _collapse(file.fileno(), block)
        except (OSError, AttributeError):
            return False
        return True
