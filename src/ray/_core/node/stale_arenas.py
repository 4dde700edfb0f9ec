"""Shared memory that nobody is left to free: of a node whose processes, the reaper too, were all killed at once.

Floor: node, shell. A raylet holds a lock on its arena for as long as it lives. So whoever starts a node here next can
tell, and removes what has no owner.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from ray._core.raylet import leftovers

logger = logging.getLogger(__name__)
YOUNG_S = 60.0
"""A file that was changed since may belong to a raylet that is about to lock it."""


def remove(shm_dir: str, young_s: float = YOUNG_S) -> list[Path]:
    """Unlink the arenas of this user that nobody uses; returns them."""
    found = [path for path in Path(shm_dir).glob("ray-*.arena") if leftovers.is_unlocked(path, young_s)]
    if not found:
        return []
    mapped = _mapped_by_us()
    stale = [path for path in found if str(path) not in mapped]
    for path in stale:
        logger.info("Removed %s: the node that made it has ended.", path)
        with contextlib.suppress(FileNotFoundError):  # somebody else has
            path.unlink()
    return stale


def _mapped_by_us() -> set[str]:
    """Paths of files that living processes have mapped: a worker may outlive its raylet for a moment."""
    paths = set[str]()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            paths.update(line.split(maxsplit=5)[5] for line in maps.read_text().splitlines() if line.endswith(".arena"))
    return paths
