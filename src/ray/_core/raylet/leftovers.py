"""What sessions have left on this machine's disk whose processes were all killed at once: spilled objects, sockets.

Floor: raylet, shell. Else the reaper removes what a killed raylet had spilled. A raylet holds a lock on each directory
to which it spills for as long as it lives, so another one can tell which have no owner. (For shared memory the next
node does the same before it makes its own: `node.stale_arenas`.)
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import socket
import time
from collections.abc import Iterable
from pathlib import Path

logger = logging.getLogger(__name__)
SPILLED = "ray_spilled_objects_"
"""Directories of spilled objects are named so, with the node's id behind it."""
YOUNG_S = 60.0
"""What was made since may belong to a process that is about to lock it, or to listen at it."""


def lock(directory: str) -> int:
    """Keep others from taking the directory for a dead node's: as long as the returned descriptor is open."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # a file system without locks: others cannot lock it either, and leave it alone
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def remove(temp: Path, spill_dirs: Iterable[str] = (), young_s: float = YOUNG_S) -> list[Path]:
    """Remove what nobody uses below the temp dir, and of what was spilled to `spill_dirs`; returns it."""
    spilled = [*temp.glob(f"session_2*/{SPILLED}*")]
    for each in spill_dirs:
        spilled += Path(each).glob(f"{SPILLED}*")
    stale = [path for path in dict.fromkeys(spilled) if is_unlocked(path, young_s)]
    for path in stale:
        shutil.rmtree(path, ignore_errors=True)  # another raylet may be at it too
    for directory in temp.glob("session_2*/sockets"):
        sockets = [path for path in directory.iterdir() if path.is_socket()]
        if not any(_is_used(path, young_s) for path in sorted(sockets, reverse=True)):  # "raylet" first
            stale += sockets
            for path in sockets:
                path.unlink(missing_ok=True)
    if stale:
        logger.info("Removed what dead sessions had left: %s", ", ".join(map(str, stale)))
    return stale


def is_unlocked(path: Path, young_s: float) -> bool:
    """Whether a file or directory of this user, older than `young_s`, belongs to no living process."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # it has gone, or is another user's
        return False
    try:
        stat = os.fstat(descriptor)
        if stat.st_uid != os.geteuid() or time.time() - stat.st_ctime < young_s:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked, or without locks
        return False
    finally:
        os.close(descriptor)
    return True


def _is_used(path: Path, young_s: float) -> bool:
    """Whether somebody listens there, or may be about to. Without locks the kernel is asked: it refuses."""
    try:
        stat = path.lstat()
        if stat.st_uid != os.geteuid() or time.time() - stat.st_ctime < young_s:
            return True
        with socket.socket(socket.AF_UNIX) as sock:
            sock.setblocking(False)
            sock.connect(str(path))
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    except OSError:  # its backlog is full, say
        return True
    return True
