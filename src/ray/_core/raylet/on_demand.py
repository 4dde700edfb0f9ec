"""A server process that is started by the first connection to its port, and again when it has ended.

Floor: raylet, shell. The port listens from the node's start on, so that a connection waits instead of being refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Sequence

from ray._core.common import log_settings

logger = logging.getLogger(__name__)
LEAST_LIFE_S = 5.0
"""A server that ended sooner is not started again before this time, so that a broken one costs nearly nothing."""


class OnDemand:
    """Args:
    listen_fd: of the listening socket; the process inherits it.
    command: arguments for Python, without `--listen-fd`.
    log: path of the file for its output.
    """

    def __init__(self, listen_fd: int, command: Sequence[str], log: str) -> None:
        self._fd = listen_fd
        self._command = [*command, "--listen-fd", str(listen_fd)]
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<OnDemand {self._command[1]} pid={self._process.pid if self._process else 0}>"

    def wait(self) -> None:
        """Start the process when somebody connects."""
        asyncio.get_running_loop().add_reader(self._fd, self.start)

    def start(self) -> None:
        """Start it now."""
        asyncio.get_running_loop().remove_reader(self._fd)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        started_at_s = time.monotonic()
        try:
            with open(self._log, "ab") as log:
                output = 2 if log_settings.services_to_stderr() else log.fileno()
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *self._command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=[self._fd],
                )
        except OSError as error:  # no room for one more process or file now
            logger.error("%s could not be started: %s", self._command[1], error)
        else:
            code = await self._process.wait()
            self._process = None
            logger.warning("%s ended with code %s; its log is %s.", self._command[1], code, self._log)
        await asyncio.sleep(max(LEAST_LIFE_S - (time.monotonic() - started_at_s), 0.0))
        self.wait()

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:
            asyncio.get_running_loop().remove_reader(self._fd)
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
