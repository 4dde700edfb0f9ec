"""The log files of this node, for who asks for them by name. Floor: agent, shell.

Names are relative to the log directory, and nothing outside of it is ever read.
"""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path

MAX_CHUNK = 4 << 20
_BLOCK = 64 * 1024


def list_files(log_dir: str, pattern: str) -> list[str]:
    """Names of the files that match, sorted; files in directories below are named by their path."""
    root = Path(log_dir)
    names = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    return sorted(name for name in names if fnmatch.fnmatch(name, pattern))


def read(log_dir: str, name: str, offset: int, length: int, last_lines: int = -1) -> tuple[bytes, int]:
    """(bytes, where they begin).

    Args:
        last_lines: not from `offset` but from where the last so many lines begin; -1: from `offset`.
    Raises:
        OSError: there is no such file, or it is outside of the log directory.
    """
    path = os.path.realpath(os.path.join(log_dir, name))
    if not path.startswith(os.path.realpath(log_dir) + os.sep):
        raise PermissionError(f"{name} is not in the log directory.")
    with open(path, "rb") as file:
        if last_lines >= 0:
            offset = _start_of_last(file.fileno(), last_lines)
        if offset > os.fstat(file.fileno()).st_size:
            offset = 0  # the file was rotated since
        file.seek(offset)
        return file.read(min(length, MAX_CHUNK)), offset


def _start_of_last(descriptor: int, lines: int) -> int:
    """Where the last `lines` lines of the file begin; a last one without newline counts."""
    end = os.fstat(descriptor).st_size
    if lines == 0:
        return end
    wanted = lines + (1 if end and os.pread(descriptor, 1, end - 1) == b"\n" else 0)
    while end > 0:
        start = max(end - _BLOCK, 0)
        block = os.pread(descriptor, end - start, start)
        at = len(block)
        while wanted and (at := block.rfind(b"\n", 0, at)) >= 0:
            wanted -= 1
            if not wanted:
                return start + at + 1
        end = start
    return 0
