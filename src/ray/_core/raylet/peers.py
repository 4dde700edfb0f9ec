"""Connections to the raylets of other nodes. Floor: raylet, shell."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from ray._core.common import messages as m
from ray._core.raylet import bulk
from ray._core.wire import aio, auth, blocking
from ray._core.wire.background import Background

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet

JOINING_S = 2.0
"""How long to wait for word of a node that this raylet has not heard of yet."""
CONNECT_S = 10.0
CONNECT_AGAIN_S = 1.0
"""After a node could not be reached which is not known to be dead."""


class Peers:
    def __init__(self, raylet: Raylet) -> None:
        self._raylet = raylet
        self._connections: dict[bytes, asyncio.Task[aio.Connection]] = {}
        self._streams: dict[socket.socket, bytes] = {}
        self._background = Background()
        self._news = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Peers {len(self._connections)}>"

    async def connect(self, node_id: bytes) -> aio.Connection:
        """The connection to another node's raylet. Raises OSError when it cannot be had."""
        task = self._connections.get(node_id)
        if task is None or (task.done() and (task.exception() is not None or task.result().is_closed)):
            task = asyncio.get_running_loop().create_task(self._connect(node_id))
            self._connections[node_id] = task
        return await asyncio.shield(task)

    async def _connect(self, node_id: bytes) -> aio.Connection:
        view, raylet = self._raylet.leases.view, self._raylet
        async with asyncio.timeout(JOINING_S):  # TimeoutError is an OSError
            while (row := view.rows.get(node_id)) is None:
                if node_id in view.dead:
                    raise ConnectionError("the node has died")
                self._news.clear()
                await self._news.wait()
        token = auth.load_token(raylet.config.enable_token_auth)
        connection = await aio.connect_tcp(raylet, row.host, row.raylet_port, token)
        connection.role = "raylet"
        connection.send(m.Hello(m.PROTOCOL, "raylet", node_id=raylet.node_id))
        return connection

    def forward(self, node_id: bytes, message: m.Message) -> None:
        """Send a message to another raylet, when that can be reached; a node that has died needs it no more."""
        self._background.start(self._forward(node_id, message))

    async def _forward(self, node_id: bytes, message: m.Message) -> None:
        while node_id not in self._raylet.leases.view.dead:
            try:
                connection = await self.connect(node_id)
            except OSError:
                await asyncio.sleep(CONNECT_AGAIN_S)
            else:
                connection.send(message)
                return

    def open_stream(self, node_id: bytes) -> socket.socket:
        """A bulk connection to a node that is known. On any thread; blocks. Raises OSError."""
        row = self._raylet.leases.view.rows.get(node_id)
        if row is None:
            raise ConnectionError("the node has died")
        token = auth.load_token(self._raylet.config.enable_token_auth)
        sock = blocking.connect_tcp(row.host, row.raylet_port, token, CONNECT_S)
        self._streams[sock] = node_id
        try:
            bulk.open_stream(sock, self._raylet.node_id)
            sock.settimeout(None)
        except BaseException:
            self.close_stream(sock)
            raise
        return sock

    def close_stream(self, sock: socket.socket) -> None:
        self._streams.pop(sock, None)
        sock.close()

    def nodes_changed(self) -> None:
        self._news.set()

    def node_died(self, node_id: bytes) -> None:
        """A machine that lost its power closes no connection: whoever waits for it goes on elsewhere."""
        task = self._connections.pop(node_id, None)
        if task is not None and task.done() and task.exception() is None:
            task.result().close("its node has died")
        self._hang_up([sock for sock, peer in self._streams.copy().items() if peer == node_id])

    def close(self) -> None:
        self._hang_up(list(self._streams))

    def _hang_up(self, streams: list[socket.socket]) -> None:
        for sock in streams:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # its thread was quicker
