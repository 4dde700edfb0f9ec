"""A service of a fate-shared node ends with the process that owns the node, also when the reaper was killed before.

Floor: wire, shell. For asyncio processes. The reaper (see node.reaper) kills them, and faster; this is for when it
cannot.
"""

from __future__ import annotations

import os
from collections.abc import Callable

OWNER_PID = "RAY_NODE_OWNER_PID"
"""Variable of a service's process; empty or not there: its node is detached."""


def end_with_owner(end: Callable[[], None]) -> None:
    """Have `end` called when the owner has ended, or has already."""
    import asyncio  # not for a driver, which takes only the variable's name

    pid = int(os.environ.get(OWNER_PID) or 0)
    if not pid or not hasattr(os, "pidfd_open"):
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        end()
        return
    except OSError:  # a sandbox without pidfd_open: the reaper remains
        return
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        end()

    loop.add_reader(descriptor, ended)
