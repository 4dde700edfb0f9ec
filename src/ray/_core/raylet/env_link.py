"""The raylet's line to the node's runtime-env agent, which the agent process hosts (see agent_process.py).

Floor: raylet, shell; `environments.EnvironmentTable` decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ray._core.common import messages as m
from ray._core.raylet.environments import EnvironmentTable
from ray._core.wire import aio
from ray._core.wire.background import Background

logger = logging.getLogger(__name__)
_ATTEMPTS = 3
"""An agent that dies while it builds is replaced this often before the environment counts as failed."""

Then = Callable[[str], None]
"""Gets "" when the environment is ready (and held), else what went wrong."""


class EnvLink:
    """Environments of this node.

    Args:
        start_timeout_s: how long an agent may take to connect.
    """

    def __init__(self, start_timeout_s: float) -> None:
        self.table = EnvironmentTable()
        self._start_timeout_s = start_timeout_s
        self._agent: asyncio.Future[aio.Connection] | None = None
        self._background = Background()

    def prepare(self, text: str, job_id: bytes, then: Then) -> None:
        """Have the environment built and held, and call `then`: at once if it is there."""
        state = self.table.want(text, then)
        if state == "ready":
            then("")
        elif state == "build":
            self._background.start(self._build(text, job_id))

    def drop(self, text: str) -> None:
        """One holder less."""
        if self.table.drop(text) and self._agent is not None and self._agent.done():
            self._agent.result().send(m.ReleaseRuntimeEnv(text))

    async def _build(self, text: str, job_id: bytes) -> None:
        start_s = asyncio.get_running_loop().time()
        try:
            context = await self._ask(text, job_id)
        except aio.RequestFailed as failure:
            self._fail(text, failure.message, start_s)
        except Exception as error:
            logger.exception("The runtime-env agent failed.")
            self._fail(text, f"The runtime-env agent of this node failed: {type(error).__name__}: {error}", start_s)
        else:
            for then in self.table.built(text, context, _ms_since(start_s)):
                then("")

    def _fail(self, text: str, error: str, start_s: float) -> None:
        for then in self.table.failed(text, error, _ms_since(start_s)):
            then(error)

    async def _ask(self, text: str, job_id: bytes) -> str:
        for attempt in range(1, _ATTEMPTS + 1):
            agent = await self._connected()
            try:
                reply: m.RuntimeEnvCreated = await agent.request(m.CreateRuntimeEnv(runtime_env=text, job_id=job_id))
                return reply.context
            except aio.ConnectionLost:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    # ---------------------------------------------------------- the agent

    async def _connected(self) -> aio.Connection:
        if self._agent is None:
            self._agent = asyncio.get_running_loop().create_future()
        return await asyncio.wait_for(asyncio.shield(self._agent), self._start_timeout_s)

    def agent_connected(self, connection: aio.Connection) -> None:
        connection.peer = self
        if self._agent is None or self._agent.done():
            self._agent = asyncio.get_running_loop().create_future()
        self._agent.set_result(connection)

    def agent_lost(self) -> None:
        """It has ended; another one will connect. What it had built lies on disk and is found again."""
        self._agent = None

    def close(self) -> None:
        self._background.cancel()


def _ms_since(start_s: float) -> int:
    return int((asyncio.get_running_loop().time() - start_s) * 1000)
