"""Raylets, drivers and workers as the GCS meets them: connected, knocked at when they are away, declared ended.

Floor: gcs, shell around `presence.Presence`: its timer and its knocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from ray._core.gcs.presence import Door, Effect, Ended, Kind, Knock, Presence
from ray._core.wire.aio import Connection

KNOCK_TIMEOUT_S = 5.0
"""Nothing is heard from a machine that is down or cut off, which says nothing of the process."""


class Peers:
    """Args: grace_s: how long one may be away. on_end: called with each that has ended."""

    def __init__(self, grace_s: float, on_end: Callable[[Ended], None]) -> None:
        self.presence = Presence(grace_s)
        self._on_end = on_end
        self._timer: asyncio.TimerHandle | None = None
        self._knocks: dict[bytes, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<Peers {self.presence!r} knocks={len(self._knocks)}>"

    def came(self, kind: Kind, peer_id: bytes, node_id: bytes, door: Door, connection: Connection) -> None:
        """A peer has made itself known on this connection. It has sent again by this one what was not answered on an
        older one, whose end is not here yet: what comes by that after this would undo what followed."""
        older = self.presence.connection_of(peer_id)
        self._act(self.presence.came(kind, peer_id, node_id, door, connection, _now_s()))
        if older is not None and older is not connection:
            older.abort("the peer is back by another connection")

    def went(self, connection: Connection) -> None:
        """A connection is closed, of whomever."""
        self._act(self.presence.went(connection, f"Its connection was lost ({connection.close_reason})", _now_s()))

    def expect(self, kind: Kind, peer_id: bytes, node_id: bytes, door: Door, grace_s: float) -> None:
        """One that an earlier GCS knew."""
        self.presence.expect(kind, peer_id, node_id, door, grace_s, _now_s())
        self._wind()

    def node_died(self, node_id: bytes) -> None:
        """Its drivers and workers end with it; a machine that lost its power closes none of their connections."""
        ended, connections = self.presence.node_died(node_id)
        for connection in connections:
            connection.abort("its node has died")
        self._act(ended)

    # ---------------------------------------------------------- inside

    def _act(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Ended):
                self._on_end(effect)
            elif effect.peer not in self._knocks:
                task = asyncio.get_running_loop().create_task(self._knock(effect))
                self._knocks[effect.peer] = task
        self._wind()

    def _wind(self) -> None:
        delay_s = self.presence.next_s()
        if delay_s is None:
            return
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + delay_s:
                return
            self._timer.cancel()
        self._timer = loop.call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._act(self.presence.pass_time(_now_s()))

    async def _knock(self, knock: Knock) -> None:
        """Only a refusal tells anything: the machine is there, and nobody listens."""
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await asyncio.wait_for(
                loop.create_connection(asyncio.Protocol, *knock.door), KNOCK_TIMEOUT_S
            )
        except ConnectionRefusedError:
            self._act(self.presence.nobody_there(knock))
        except OSError:  # also TimeoutError: nothing is learned from that, and its grace goes on
            pass
        else:
            transport.abort()
        finally:
            del self._knocks[knock.peer]


def _now_s() -> float:
    return asyncio.get_running_loop().time()
