"""A process that was forked from a driver or worker: it is neither, and says so instead of hanging.

Floor: worker, shell. Connections, locks and threads of the core worker do not survive a fork: the child would read
the parent's answers. It closes its copies (so that the parent's end is still noticed) and forgets the session;
an explicit `ray.init` in it begins one of its own.
"""

from __future__ import annotations

import os
from typing import Any

from ray._core.worker import object_ref

parent: int = 0
"""Pid of the process with a session that this one was forked from; 0: none, or this one has had a session since."""
_kept: list[Any] = []
"""The parent's core worker: kept, so that nothing of it is finalized here."""


def text() -> str:
    return (
        f"This process (pid {os.getpid()}) was forked from process {parent}, which uses Ray, and connections do not "
        "survive a fork. Call ray.init() in it to make it a driver of its own, use Ray tasks instead, or start it "
        'afresh, as multiprocessing does with the start method "spawn".'
    )


def _in_child() -> None:
    global parent
    core = object_ref._core
    if core is None:
        return
    parent = os.getppid()
    _kept.append(core)
    object_ref._core = None
    core.reactor.abandon()
    for listening in core.listening_sockets():
        listening.close()


os.register_at_fork(after_in_child=_in_child)
