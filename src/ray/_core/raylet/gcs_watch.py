"""A raylet that the GCS asks no more ends its node, before its actors are started elsewhere.

Floor: raylet, shell. A cut network closes no connection, on neither side: the GCS declares a silent node dead after a
while and starts its actors elsewhere, and this raylet would keep the old ones, also when the network is whole again. So
when the GCS does not ping, or the connection to it broke and there is no other yet, this knocks at its door. Nobody
there until shortly before the GCS gives the node up (see `common.health`): the node ends itself, so that no actor runs
twice. Somebody there: the GCS is asked whether the node still counts; one that is slow, or was stopped, is waited for,
on the old connection too.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common.health import Contact, fence_s
from ray._core.wire import aio, auth

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet

logger = logging.getLogger(__name__)


class GcsWatch:
    def __init__(self, raylet: Raylet) -> None:
        self._raylet = raylet
        self._contact = Contact()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """The node has joined; the first ping takes a while longer than the others."""
        self._contact.since_s += self._raylet.config.health_check_initial_delay_ms / 1000
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def asked(self, at_s: float) -> None:
        """The GCS has answered what this raylet asked it at `at_s`: to take the node in, or whether it counts."""
        self._contact.asked(at_s)

    def pinged(self, missed: int) -> None:
        self._contact.pinged(missed, asyncio.get_running_loop().time())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        loop, config = asyncio.get_running_loop(), self._raylet.config
        period_s, end_s = config.health_check_period_ms / 1000, fence_s(config)
        while True:
            await asyncio.sleep(max(period_s / 4, 0.01))
            left_s = self._contact.since_s + end_s - loop.time()
            if left_s > end_s / 2:
                continue
            try:
                await asyncio.wait_for(self._knock(), max(left_s, 0.1))
                asked_at_s = loop.time()
                await asyncio.wait_for(self._ask(), end_s / 2)
                self.asked(asked_at_s)
            except aio.RequestFailed as refused:
                self._end(refused.message)
                return
            except OSError as error:  # also TimeoutError and AuthenticationFailed
                if loop.time() >= self._contact.since_s + end_s:
                    self._end(f"The GCS has been out of reach for {end_s:g} s ({error or type(error).__name__}).")
                    return

    async def _knock(self) -> None:
        """Returns when the GCS's machine is in reach. Raises OSError when it is not."""
        settings, loop = self._raylet.settings, asyncio.get_running_loop()
        knocked_at_s = loop.time()
        try:
            transport, _ = await loop.create_connection(asyncio.Protocol, settings["gcs_host"], settings["gcs_port"])
        except ConnectionRefusedError:
            pass  # no GCS at the moment, but its machine is there
        else:
            transport.close()
        self.asked(knocked_at_s)

    async def _ask(self) -> None:
        """Returns when the GCS answers that the node lives. Raises RequestFailed: it does not; OSError: no answer."""
        settings = self._raylet.settings
        token = auth.load_token(self._raylet.config.enable_token_auth)
        connection = await aio.connect_tcp(_Nobody(), settings["gcs_host"], settings["gcs_port"], token)
        connection.send(m.Hello(m.PROTOCOL, "raylet", node_id=self._raylet.node_id))
        try:
            await connection.request(m.CheckNode(node_id=self._raylet.node_id))
        finally:
            connection.close()

    def _end(self, why: str) -> None:
        logger.error("The raylet ends: its node is not part of the cluster any more. %s", why)
        self._raylet.gcs.close()  # there is nobody to say goodbye to
        self._raylet.stop.set()


class _Nobody:
    """Handler of a connection that carries replies only."""

    def connected(self, connection: aio.Connection) -> None: ...

    def received(self, connection: aio.Connection, message: Any, payload: bytes) -> None: ...

    def closed(self, connection: aio.Connection) -> None: ...
