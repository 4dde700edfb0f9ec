"""The zygote as its raylet sees it: forked from it, and watched.

Floor: raylet, shell. Forked, and not started as a program of its own, since most of what both import is the same: a
quarter of all that a node's start executes, and memory that both then share.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import runpy
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

logger = logging.getLogger(__name__)
PROGRAM = "ray.workers.default_worker"


class ZygoteProcess:
    """`socket`: the raylet's end of the connection to it."""

    def __init__(self, pid: int, ours: socket.socket) -> None:
        self.socket = ours
        self._pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._has_ended = False

    def __repr__(self) -> str:
        return f"<ZygoteProcess pid={self._pid}>"

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Log its end, whose cause nobody would find elsewhere: the raylet ends with it."""

        def ended() -> None:
            loop.remove_reader(self._pidfd)
            _, status = os.waitpid(self._pid, 0)
            self._has_ended = True
            code = os.waitstatus_to_exitcode(status)
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
            logger.error("The zygote (pid %d) %s.", self._pid, how)

        loop.add_reader(self._pidfd, ended)

    def kill(self) -> None:
        if not self._has_ended:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)


def fork(modules: Sequence[str], not_for_it: Sequence[int]) -> ZygoteProcess:
    """Fork the zygote off, which then imports `modules`, too. Before there is any thread or event loop.

    Args:
        not_for_it: descriptors that it is to close.
    """
    ours, theirs = socket.socketpair()
    gc.collect()
    gc.freeze()  # so the collector of neither writes to the pages that both share
    pid = os.fork()
    if pid == 0:
        ours.close()
        for descriptor in not_for_it:
            os.close(descriptor)
        _become_zygote(theirs.detach(), modules)
    theirs.close()
    return ZygoteProcess(pid, ours)


def _become_zygote(descriptor: int, modules: Sequence[str]) -> NoReturn:
    sys.argv = [PROGRAM, "--zygote-fd", str(descriptor), *modules]
    status = 1
    try:
        runpy.run_module(PROGRAM, run_name="__main__", alter_sys=True)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)  # never back into the raylet's code
