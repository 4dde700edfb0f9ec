"""The core worker's line to the GCS, which outlives restarts of the GCS.

Floor: worker, shell. Connects at the first use. Requests without an answer are sent again after a reconnection, so they
must bear being repeated; subscriptions are made again. All methods are locked.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.wire.connection import Connection

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker

logger = logging.getLogger(__name__)
FIRST_RETRY_S, LAST_RETRY_S = 0.05, 1.0
MOST_WAITING = 1000
"""One-way messages kept while the GCS is away; beyond that the oldest go."""
OnReply = Callable[[Any], None]


class GcsClient:
    """Looks like a `Connection` to those who send requests and one-way messages."""

    peer = "gcs"

    def __init__(self, core: CoreWorker, host: str, port: int) -> None:
        self._core = core
        self._host, self._port = host, port
        self.address = f"{host}:{port}"
        self._connection: Connection | None = None
        self._asked: dict[int, tuple[m.Request, OnReply]] = {}
        self._numbers = 0
        self._waiting: deque[Any] = deque(maxlen=MOST_WAITING)
        self._topics: dict[tuple[str, bytes], None] = {}
        self._away_since_s: float | None = None
        self._delay_s = FIRST_RETRY_S
        self._is_closed = False
        self._close_reason = ""
        self.trouble = ""
        """Why answers of a GCS that is there may be long in coming, as it has told; "": they are not."""
        self.on_given_up: Callable[[str], None] = lambda text: None
        """Called when the GCS has been away for too long, with the text that says so; the next request tries again."""

    def __repr__(self) -> str:
        return f"<GcsClient {self.address} connected={self._connection is not None} asked={len(self._asked)}>"

    def request(self, request: m.Request, on_reply: OnReply) -> int:
        """`on_reply` gets the reply, `Failed` included; Failed("gcs_away") when the GCS stays away too long."""
        if self._is_closed:
            on_reply(self._away(self._close_reason))
            return 0
        self._numbers += 1
        number = self._numbers
        self._asked[number] = (request, on_reply)
        connection = self._connection
        if connection is None:
            self._connect()
        else:
            self._ask(connection, number)
        return number

    def tell(self, request: m.Request) -> None:
        """A request whose answer nobody waits for: what comes of it is published, and a refusal logged. Locked."""
        self.request(request, partial(_log_refusal, request))

    def send(self, message: Any) -> None:
        """One way; kept while there is no connection, the newest `MOST_WAITING`: for what may be lost (task events)."""
        if self._connection is not None:
            self._connection.send(message)
        elif not self._is_closed:
            self._waiting.append(message)
            self._connect()

    def subscribe(self, channel: str, key: bytes = b"") -> None:
        """Hear of what is published there, from now on and after each reconnection."""
        if (channel, key) not in self._topics:
            self._topics[channel, key] = None
            if self._connection is not None:
                self._subscribe(self._connection, channel, key)
            else:
                self._connect()

    def _subscribe(self, connection: Connection, channel: str, key: bytes) -> None:
        """Not kept as requests are: a new connection subscribes anew."""
        request = m.Subscribe(channel=channel, key=key)
        connection.request(request, partial(_log_refusal, request))

    def subscribed(self, channel: str, key: bytes) -> None:
        """The GCS has subscribed this process by itself (who registers an actor hears of it)."""
        self._topics[channel, key] = None

    def unsubscribed(self, channel: str, key: bytes) -> None:
        """The GCS has forgotten the subscription by itself."""
        self._topics.pop((channel, key), None)

    def unsubscribe(self, channel: str, key: bytes) -> None:
        if self._topics.pop((channel, key), False) is None and self._connection is not None:
            self._connection.send(m.Unsubscribe(channel, key))

    def close(self) -> None:
        """For good; open requests fail."""
        self._close("this process is shutting down")

    def storage_trouble(self, text: str) -> None:
        """The GCS has told that its storage takes nothing, or ("") that it does again."""
        if text and not self.trouble:
            logger.warning("%s", text)
        self.trouble = text

    def lost(self, connection: Connection, reason: str) -> None:
        """A connection of this client has closed, or did not come about."""
        if connection is not self._connection or self._is_closed:
            return
        self._connection, self.trouble = None, ""
        config, now_s = self._core.config, time.monotonic()
        if self._away_since_s is None:
            self._away_since_s = now_s
            logger.warning("Lost the connection to the GCS at %s (%s); connecting again.", self.address, reason)
        if now_s - self._away_since_s > config.gcs_rpc_server_reconnect_timeout_s:
            away = self._away(f"it has been away for {now_s - self._away_since_s:.0f} s ({reason})")
            self._fail_all(away)
            self.on_given_up(away.message)
            return
        self._core.reactor.call_later(self._delay_s, self._connect)
        self._delay_s = min(self._delay_s * 2, LAST_RETRY_S)

    # ---------------------------------------------------------- inside

    def _connect(self) -> None:
        """Begin to connect, and queue behind the handshake what the GCS must hear first, and all that is open."""
        if self._connection is not None or self._is_closed:
            return
        core = self._core
        connection = core.reactor.connect_tcp(self._host, self._port, core, core.token)
        connection.peer, connection.role = self, "gcs"
        self._connection = connection
        pid, address = os.getpid(), core.address
        connection.send(m.Hello(m.PROTOCOL, core.mode, core.node.node_id, core.worker_id, pid=pid, address=address))
        if core.job_registration is not None:
            connection.request(core.job_registration, self._registered)
        elif self._away_since_s is not None:  # the outage is over with the answer, also if nothing else is open
            connection.request(m.Ping(), self._registered)
        for channel, key in self._topics:
            self._subscribe(connection, channel, key)
        for number in list(self._asked):
            self._ask(connection, number)
        while self._waiting:
            connection.send(self._waiting.popleft())
        core.reactor.soon_flushed()

    def _ask(self, connection: Connection, number: int) -> None:
        request, on_reply = self._asked[number]

        def answered(reply: Any) -> None:
            if isinstance(reply, m.Failed) and reply.kind == "connection_lost" and not self._is_closed:
                return  # it goes again on the next connection
            self._heard()
            if self._asked.pop(number, None) is not None:
                on_reply(reply)

        connection.request(request, answered)

    def _heard(self) -> None:
        self._away_since_s, self._delay_s = None, FIRST_RETRY_S

    def _registered(self, reply: Any) -> None:
        """The GCS is there: the driver's job goes on, or has been given up."""
        if isinstance(reply, m.Failed):
            if reply.kind != "connection_lost":
                logger.error("The GCS does not take this driver back: %s", reply.message)
                self._close(reply.message)
                self.on_given_up(self._away(reply.message).message)
        else:
            self._heard()

    def _close(self, reason: str) -> None:
        self._is_closed, self._close_reason = True, reason
        self._fail_all(self._away(reason))

    def _away(self, reason: str) -> m.Failed:
        text = f"The GCS at {self.address} cannot be reached: {reason}. Look into gcs_server.err of the head's session."
        return m.Failed(kind="gcs_away", message=text)

    def _fail_all(self, away: m.Failed) -> None:
        asked, self._asked = self._asked, {}
        self._waiting.clear()
        for _, on_reply in asked.values():
            on_reply(away)


def _log_refusal(request: m.Request, reply: Any) -> None:
    if isinstance(reply, m.Failed) and reply.kind not in ("connection_lost", "gcs_away"):  # which `on_given_up` tells
        logger.error("%s was not carried out: %s", type(request).__name__, reply.message)
