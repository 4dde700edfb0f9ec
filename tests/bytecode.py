"""A directory for the compiled modules of all processes that a run of the tests starts; it goes with the run."""

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "ray-tests-"
YOUNG_S = 60.0
"""One that was made since may not have been locked yet."""
_locks = []


def directory() -> str:
    """A new one, locked while this process lives. Those of runs that were killed are removed."""
    for each in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # of a run that goes on, or of another user
            if time.time() - each.stat().st_ctime > YOUNG_S:
                os.close(_lock(each))
                shutil.rmtree(each)
    made = tempfile.mkdtemp(prefix=PREFIX)
    _locks.append(_lock(made))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _lock(path) -> int:
    """A descriptor that holds it. Raises OSError when another process does."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
