"""The runtime-env agent as a module of the agent process: idle until the raylet asks for the first environment.

Floor: agent, shell. What builds environments belongs to a floor above (`ray._private.runtime_env.agent`, with users'
plug-ins); it is imported by name at the first request, so that a node without environments does not carry it.
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import Any

from ray._core.common import messages as m
from ray._core.wire import aio
from ray._core.wire.link import Link

logger = logging.getLogger(__name__)
_BUILDER = "ray._private.runtime_env.agent"


class RuntimeEnvs:
    """Handler of the connection to the raylet.

    Args:
        gcs: an open connection, for packages.
    """

    def __init__(self, gcs: Link, resources_dir: str, log_dir: str, node_ip: str, keeps_all: bool) -> None:
        self._gcs = gcs
        self._settings = (resources_dir, log_dir, node_ip, keeps_all)
        self._agent: Any = None

    async def start(self, raylet_path: str) -> None:
        connection = await aio.connect_unix(self, raylet_path)
        connection.role = "raylet"
        connection.send(m.Hello(m.PROTOCOL, "runtime_env_agent", pid=os.getpid()))

    def connected(self, connection: aio.Connection) -> None:
        """This side speaks first."""

    def received(self, connection: aio.Connection, message: Any, payload: bytes) -> None:
        if self._agent is None:
            try:
                self._agent = importlib.import_module(_BUILDER).make_agent(self._gcs, *self._settings)
            except Exception as error:
                logger.exception("The runtime-env agent cannot be set up.")
                if isinstance(message, m.Request):
                    text = f"The runtime-env agent of this node cannot be set up: {type(error).__name__}: {error}"
                    connection.fail(message, "runtime_env", text)
                return
        self._agent.received(connection, message, payload)

    def closed(self, connection: aio.Connection) -> None:
        """The raylet ends; so do its GCS connection's agent and all that it builds."""
        if self._agent is not None:
            self._agent.closed(connection)
