"""Keeps the node's agent running: forked by the zygote, and again when it ends.

Floor: raylet, shell.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ray._core.common import log_settings
from ray._core.common import messages as m
from ray._core.common.config import Config
from ray._core.common.resources_dir import resources_dir
from ray._core.wire import aio

logger = logging.getLogger(__name__)
LEAST_LIFE_S = 5.0
FIRST_PAUSE_S, LAST_PAUSE_S = 0.25, 30.0
"""Before an agent that ended sooner is started again, each time twice as long: a broken one costs nearly nothing."""


class AgentProcess:
    """The agent as its raylet sees it. `pid` 0: it does not run."""

    def __init__(self, zygote: aio.Connection, settings: dict[str, Any], config: Config) -> None:
        self.pid = 0
        self._zygote = zygote
        self._started_at_s = 0.0
        self._was_started = False
        self._pause_s = FIRST_PAUSE_S
        self._log = f"{settings['log_dir']}/agent"
        self._outputs = (f"{self._log}.out", f"{self._log}.err")
        if log_settings.services_to_stderr():
            self._outputs = ("/dev/stderr", "/dev/stderr")
        self._argv = [
            *("--gcs-address", f"{settings['gcs_host']}:{settings['gcs_port']}"),
            *("--node-id", settings["node_id"]),
            *("--node-ip", settings["node_ip"]),
            *("--log-dir", settings["log_dir"]),
            *("--raylet-path", settings["raylet_path"]),
            *("--resources-dir", resources_dir(settings["session_dir"], settings["is_head"], settings["node_id"])),
            *("--config", config.encode()),
        ]

    def __repr__(self) -> str:
        return f"<AgentProcess pid={self.pid}>"

    def start(self) -> None:
        argv = [*self._argv, "--resume"] if self._was_started else self._argv
        self._was_started = True
        self._started_at_s = asyncio.get_running_loop().time()
        fork = m.Fork(b"", b"", {}, "", [], *self._outputs, role="agent", argv=argv)
        self._zygote.request(fork).add_done_callback(self._forked)

    def _forked(self, reply: asyncio.Future[m.Forked]) -> None:
        problem = reply.exception()
        if problem is None:
            self.pid = reply.result().pid
        elif not isinstance(problem, aio.ConnectionLost):
            logger.error("The agent could not be forked, which is tried again in %s s: %s", self._pause_s, problem)
            self._start_later()

    def exited(self, pid: int, how: str) -> bool:
        """Whether the process that ended was the agent; then it is started again."""
        if pid != self.pid:
            return False
        self.pid = 0
        lived_s = asyncio.get_running_loop().time() - self._started_at_s
        logger.error("The agent has ended after %.1f s and is started again. %s See %s.err.", lived_s, how, self._log)
        if lived_s >= LEAST_LIFE_S:
            self._pause_s = FIRST_PAUSE_S
        self._start_later()
        return True

    def _start_later(self) -> None:
        asyncio.get_running_loop().call_later(self._pause_s, self.start)
        self._pause_s = min(2 * self._pause_s, LAST_PAUSE_S)
