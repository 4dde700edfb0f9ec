"""A connection to one server that outlives the server's restarts, for asyncio processes (raylet, agent).

Floor: wire, shell. Requests without an answer are sent again after a reconnection, so they must bear being repeated;
one-way messages sent meanwhile wait. The owner says in `on_open` what the server must hear first (who we are, what we
subscribe to).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from ray._core.common.messages import Request
from ray._core.wire import aio, auth

logger = logging.getLogger(__name__)
FIRST_RETRY_S, LAST_RETRY_S = 0.05, 1.0


class Link:
    """Args:
    handler: gets what comes in, and `closed` when the link is given up for good.
    on_open: called with each new connection before anything else is sent on it.
    give_up_s: how long to try to reconnect.
    """

    def __init__(
        self,
        handler: aio.Handler,
        host: str,
        port: int,
        token: bytes,
        on_open: Callable[[aio.Connection], Awaitable[None]],
        give_up_s: float,
    ) -> None:
        self.connection: aio.Connection | None = None
        self.is_closed = False
        self.is_away = False
        """The connection was lost, and there is no other yet: what could be said later better is not said now."""
        self.close_reason = ""
        self._handler = handler
        self._host, self._port, self._token = host, port, token
        self._on_open = on_open
        self._give_up_s = give_up_s
        self._waiting: deque[Any] = deque()
        self._asked: dict[int, tuple[Request, asyncio.Future[Any]]] = {}
        self._asked_on: dict[int, aio.Connection] = {}
        """The newest connection on which each open request was sent."""
        self._numbers = 0
        self._reconnecting: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open" if self.connection else "reconnecting"
        return f"<Link {self._host}:{self._port} {state} asked={len(self._asked)} waiting={len(self._waiting)}>"

    async def open(self, patience_s: float = 0.0) -> None:
        """The first connection. Raises OSError, AuthenticationFailed, or what `on_open` raises.

        Args:
            patience_s: for so long it is tried again when the server is away. That it refuses us is final when it is
                said twice: one that is killed in the middle of the handshake looks the same.
        """
        loop = asyncio.get_running_loop()
        deadline_at_s, delay_s = loop.time() + patience_s, FIRST_RETRY_S
        refused = 0
        while True:
            try:
                connection = await aio.connect_tcp(self, self._host, self._port, self._token)
                await self._on_open(connection)
            except auth.AuthenticationFailed:
                refused += 1
                if refused == 2 or patience_s == 0:
                    raise
            except ConnectionError:
                if loop.time() >= deadline_at_s:
                    raise
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, LAST_RETRY_S)
            else:
                self._opened(connection)
                return

    def send(self, message: Any) -> None:
        """One way; kept while there is no connection."""
        if self.connection is not None:
            self.connection.send(message)
        elif not self.is_closed:
            self._waiting.append(message)

    def request(self, request: Request) -> asyncio.Future[Any]:
        """As `Connection.request`, but a lost connection only delays the answer; ConnectionLost when given up."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.is_closed:
            future.set_exception(aio.ConnectionLost(f"Not connected: {self.close_reason}"))
            future.exception()  # seen: who only tells something does not wait
            return future
        self._numbers += 1
        self._asked[self._numbers] = (request, future)
        if self.connection is not None:
            self._ask(self.connection, self._numbers)
        return future

    def resume(self, connection: aio.Connection) -> None:
        """Ask again what is open, and send what has waited; for an `on_open` whose own words must come behind it."""
        for number in list(self._asked):
            if self._asked_on.get(number) is not connection:
                self._ask(connection, number)
        while self._waiting:
            connection.send(self._waiting.popleft())

    async def drain(self) -> None:
        """Wait until what was sent has left the transport's buffer, also if that takes a new connection; once the link
        is given up: not at all."""
        while self.connection is None and self._reconnecting is not None and not self.is_closed:
            await asyncio.wait([self._reconnecting])
        if self.connection is not None:
            await self.connection.drain()

    def close(self) -> None:
        """For good; the handler is not told."""
        self.is_closed = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        if self.connection is not None:
            self.connection.close()

    # ---------------------------------------------------------- aio.Handler, of the connection of the day

    def connected(self, connection: aio.Connection) -> None:
        """The handshake is done; `open` and `_reconnect` go on from there."""

    def received(self, connection: aio.Connection, message: Any, payload: bytes) -> None:
        self._handler.received(connection, message, payload)

    def closed(self, connection: aio.Connection) -> None:
        if self.is_closed or connection is not self.connection:
            return
        self.connection, self.is_away = None, True
        logger.warning("Lost the connection to %s:%s: %s", self._host, self._port, connection.close_reason)
        self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect(connection))

    # ---------------------------------------------------------- inside

    def _ask(self, connection: aio.Connection, number: int) -> None:
        request, future = self._asked[number]
        self._asked_on[number] = connection

        def answered(reply: asyncio.Future[Any]) -> None:
            problem = reply.exception()
            if isinstance(problem, aio.ConnectionLost) and not self.is_closed:
                return  # it goes again on the next connection
            self._asked_on.pop(number, None)
            if self._asked.pop(number, None) is None or future.done():
                return
            if problem is not None:
                future.set_exception(problem)
                future.exception()  # seen: whoever awaits it still gets it
            else:
                future.set_result(reply.result())

        connection.request(request).add_done_callback(answered)

    def _opened(self, connection: aio.Connection) -> None:
        self.connection = connection
        if connection.is_closed:  # since the last await
            self.closed(connection)
            return
        self.resume(connection)

    async def _reconnect(self, lost: aio.Connection) -> None:
        loop = asyncio.get_running_loop()
        deadline_at_s, delay_s = loop.time() + self._give_up_s, FIRST_RETRY_S
        while True:
            try:
                connection = await aio.connect_tcp(self, self._host, self._port, self._token)
                self.is_away = False
                await self._on_open(connection)
            except aio.RequestFailed as refused:
                self._give_up(lost, f"it refused us: {refused.message}")
                return
            except (OSError, auth.AuthenticationFailed) as error:
                if loop.time() > deadline_at_s:
                    self._give_up(lost, f"it was away for {self._give_up_s:g} s ({error})")
                    return
                self.is_away = True
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, LAST_RETRY_S)
            except Exception as error:  # ours to mend; a process that never connects again would only look alive
                logger.exception("Connecting to %s:%s again failed.", self._host, self._port)
                self._give_up(lost, repr(error))
                return
            else:
                logger.info("Connected to %s:%s again.", self._host, self._port)
                self._opened(connection)
                return

    def _give_up(self, lost: aio.Connection, reason: str) -> None:
        self.is_closed, self.close_reason = True, reason
        logger.error("The connection to %s:%s is given up: %s.", self._host, self._port, reason)
        asked, self._asked = self._asked, {}
        self._asked_on.clear()
        for _, future in asked.values():
            if not future.done():
                future.set_exception(aio.ConnectionLost(f"The connection to the GCS was given up: {reason}"))
                future.exception()
        self._handler.closed(lost)
