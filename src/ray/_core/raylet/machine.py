"""What a raylet does to its machine other than by its event loop: sockets it inherits, processes, the arena, chance.

Floor: raylet, shell. All that the simulator (tests/simulation) puts another one in the place of.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import mmap
import os
import signal
import socket
import threading
from functools import partial
from pathlib import Path
from random import Random

from ray._core.common.overflow import Overflow, allocate, give_back, map_behind
from ray._core.raylet import leftovers
from ray._core.raylet.zygote_process import ZygoteProcess
from ray._core.wire import aio

logger = logging.getLogger(__name__)
MOST_OF_DISK = 0.95
"""Objects that lie on disk never fill it above this (Ray: local_fs_capacity_threshold)."""


class Machine:
    """
    Args:
        listen_fd: the node's Unix socket, bound and listening.
        zygote: the process that forks workers.
    """

    def __init__(self, listen_fd: int, zygote: ZygoteProcess | None = None) -> None:
        self.rng = Random()
        """For ids, and for choices between nodes that are as good."""
        self._listen_fd = listen_fd
        self._arena_fd = -1
        self._zygote = zygote

    async def listen(self, handler: aio.Handler) -> None:
        """Serve the processes of this node."""
        await aio.serve_unix(handler, socket.socket(fileno=self._listen_fd))

    async def connect_zygote(self, handler: aio.Handler) -> aio.Connection:
        """The connection to the process that forks workers."""
        assert self._zygote is not None
        self._zygote.watch(asyncio.get_running_loop())
        return await aio.connect_socket(handler, self._zygote.socket)

    def kill(self, pid: int) -> None:
        """SIGKILL; nothing for 0 and for a process that has ended."""
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def map_arena(self, path: str, size: int, directory: str) -> tuple[mmap.mmap, Overflow | None]:
        """Make the node's shared memory and map it, with a file in `directory` behind it if that can be had."""
        with open(path, "x+b", opener=partial(os.open, mode=0o600)) as file:  # never readable for others
            file.truncate(size)
            self._arena_fd = os.dup(file.fileno())
            fcntl.flock(self._arena_fd, fcntl.LOCK_EX)  # for as long as this process lives: see node.stale_arenas
            try:
                overflow = Overflow(directory, MOST_OF_DISK)
                return map_behind(file.fileno(), size, overflow.path, overflow.size), overflow
            except (OSError, ValueError) as error:
                logger.warning("Objects that find no room in memory will not go to disk: %s", error)
                return mmap.mmap(file.fileno(), size), None

    def reserve_memory(self, offset: int, size: int) -> bool:
        """Whether the file system of the arena has room for this part of it.

        It is made for all of the arena as a rule, and pages are taken as they are written to. But it may be smaller, or
        others fill it, and then writing kills (SIGBUS): so when it runs short, pages are taken here.
        """
        free, arena = os.fstatvfs(self._arena_fd), os.fstat(self._arena_fd)
        if free.f_bavail * free.f_frsize >= arena.st_size - arena.st_blocks * 512:
            return True
        return allocate(self._arena_fd, offset, size)

    def give_memory_back(self, offset: int, size: int) -> None:
        """Nothing lies in this part of the arena: its pages go back to the system."""
        give_back(self._arena_fd, offset, size)

    def remove_leftovers(self, session_dir: str, spill_dirs: list[str]) -> None:
        """Of sessions that were killed as a whole; in the background, as there may be much."""
        arguments = (Path(session_dir).parent, spill_dirs)
        threading.Thread(target=leftovers.remove, args=arguments, name="ray-leftovers", daemon=True).start()

    def close(self, *paths: str) -> None:
        """End the zygote, and remove files of the node."""
        if self._zygote is not None:
            self._zygote.kill()
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
