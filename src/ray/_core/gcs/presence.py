"""Who is connected to the GCS, who is away, and who has been away for too long.

Floor: gcs, pure. A peer is a raylet (`node`) or a core worker (`core`: a driver or a worker), by its id. The loss of a
connection is not the end of its process: a box on the way may have cut it. So a peer that was lost is *away*: it may
come back within a grace, and meanwhile the shell knocks at its door, which is where it listens. Where nobody listens
any more the process has ended, and nothing is waited for. After a restart of the GCS all who lived then are away.

    (unknown) --came--> HERE --went--> AWAY --came--> HERE
    (unknown) --expect--> AWAY --knocked: nobody there; or the grace is over; or its node died--> (ended)

A peer that reconnects has two connections for a moment: the end of the older one means nothing. Graces are counted in
time in which this process ran: a GCS that was stopped must look who came meanwhile before it judges.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from typing import Literal

from ray._core.wire.aio import Connection

FIRST_KNOCK_S, LAST_KNOCK_S = 0.005, 1.0
"""Between knocks: twice as long each time. The first is made at once, and may find a dying process still listening."""
RESOLUTION_S = 0.001
"""What is due within this is due now: a clock far from zero cannot tell less apart."""
LONGEST_STEP_S = 0.5
"""The shell looks at least this often while anybody is away; of a step that took longer, twice this is counted."""
Kind = Literal["node", "core"]
Door = tuple[str, int]
"""Host and port where a peer listens; port 0: not known."""


@dataclasses.dataclass(frozen=True, slots=True)
class Knock:
    """Connect to the door, and report `nobody_there` if that is refused."""

    peer: bytes
    door: Door
    visit: int


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """The peer counts as dead from now on."""

    kind: Kind
    peer: bytes
    why: str


Effect = Knock | Ended


@dataclasses.dataclass(slots=True)
class _Peer:
    kind: Kind
    node_id: bytes
    door: Door
    connection: Connection | None = None
    """None: it is away."""
    visit: int = 0
    """Another number with each coming and going, of anybody: what was begun in an older one is void."""
    why: str = ""
    """It is away."""
    grace_s: float = 0.0
    knock_s: float = FIRST_KNOCK_S
    is_expected: bool = False
    """It has not been back since the GCS restarted."""


class Presence:
    """Args: grace_s: how long a peer may be away."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._peers: dict[bytes, _Peer] = {}
        self._ids: dict[Connection, bytes] = {}
        self._of_node: dict[bytes, dict[bytes, None]] = {}
        self._due: list[tuple[float, int, bytes, int, bool]] = []
        """Heap of: when (awake time), a number, who, of which visit, whether to knock (else the grace is over)."""
        self._closed_doors: dict[Door, bytes] = {}
        """Where nodes listened that are away."""
        self._numbers, self._visits = itertools.count(), itertools.count(1)
        self._awake_s = self._seen_s = 0.0
        self._expected_nodes = 0

    def __repr__(self) -> str:
        return f"<Presence peers={len(self._peers)} here={len(self._ids)} due={len(self._due)}>"

    def connection_of(self, peer_id: bytes) -> Connection | None:
        peer = self._peers.get(peer_id)
        return None if peer is None else peer.connection

    # ---------------------------------------------------------- coming and going

    def came(
        self, kind: Kind, peer_id: bytes, node_id: bytes, door: Door, connection: Connection, now_s: float
    ) -> list[Ended]:
        """A peer has made itself known, for the first time or again. Who was away from the same door has ended."""
        self._pass(now_s)
        effects: list[Ended] = []
        other_id = self._closed_doors.get(door, peer_id) if kind == "node" else peer_id
        if other_id != peer_id:
            other = self._peers[other_id]
            effects += self._end(other_id, other, f"{other.why}; another node has started at {_named(door)}.")
        peer = self._peers.get(peer_id)
        if peer is None:
            peer = self._peers[peer_id] = _Peer(kind, node_id, door)
            if kind == "core":
                self._of_node.setdefault(node_id, {})[peer_id] = None
        self._arrived(peer_id, peer)
        peer.connection, peer.door = connection, door if door[1] else peer.door
        peer.visit = next(self._visits)
        self._ids[connection] = peer_id
        return effects

    def went(self, connection: Connection, why: str, now_s: float) -> list[Effect]:
        """A connection is closed. Nothing follows if it was nobody's, or not the newest of its peer."""
        peer_id = self._ids.pop(connection, b"")
        peer = self._peers.get(peer_id)
        if peer is None or peer.connection is not connection:
            return []
        self._pass(now_s)
        return self._away(peer_id, peer, why, self._grace_s)

    def expect(self, kind: Kind, peer_id: bytes, node_id: bytes, door: Door, grace_s: float, now_s: float) -> None:
        """It lived when an earlier GCS ended, and has not been here since. It is on its way, so nobody knocks yet."""
        self._pass(now_s)
        if peer_id in self._peers:
            return
        peer = self._peers[peer_id] = _Peer(kind, node_id, door, is_expected=True)
        self._expected_nodes += kind == "node"
        if kind == "core":
            self._of_node.setdefault(node_id, {})[peer_id] = None
        peer.knock_s = LAST_KNOCK_S
        self._away(peer_id, peer, "It did not come back after a restart of the GCS", grace_s, at_once=False)

    def nobody_there(self, knock: Knock) -> list[Ended]:
        """Its door is closed. An answer to an old knock means nothing: it may have been back since."""
        peer = self._peers.get(knock.peer)
        if peer is None or peer.connection is not None or peer.visit != knock.visit:
            return []
        return self._end(
            knock.peer, peer, f"{peer.why}; its process has ended: nobody listens at {_named(knock.door)}."
        )

    def node_died(self, node_id: bytes) -> tuple[list[Ended], list[Connection]]:
        """Its drivers and workers end with it; the connections are those of who had not noticed: to be closed."""
        node = self._peers.pop(node_id, None)
        if node is not None:
            self._arrived(node_id, node)
        ended: list[Ended] = []
        connections = []
        for peer_id in list(self._of_node.get(node_id, ())):
            peer = self._peers[peer_id]
            if peer.connection is not None:
                connections.append(peer.connection)
            ended += self._end(peer_id, peer, "Its node has died.")
        return ended, connections

    # ---------------------------------------------------------- time

    def next_s(self) -> float | None:
        """After how long `pass_time` must be called; None: nobody is away."""
        while self._due and self._is_void(self._due[0]):
            heapq.heappop(self._due)
        return min(max(self._due[0][0] - self._awake_s, 0.0), LONGEST_STEP_S) if self._due else None

    def pass_time(self, now_s: float) -> list[Effect]:
        """Knocks that are due, and ends of those whose grace is over."""
        self._pass(now_s)
        effects: list[Effect] = []
        while self._due and self._due[0][0] < self._awake_s + RESOLUTION_S:
            row = heapq.heappop(self._due)
            if self._is_void(row):
                continue
            _, _, peer_id, visit, is_knock = row
            peer = self._peers[peer_id]
            if not is_knock:
                effects += self._end(peer_id, peer, f"{peer.why}, and it was not back within {peer.grace_s:g} s.")
                continue
            effects.append(Knock(peer_id, peer.door, visit))
            peer.knock_s = min(peer.knock_s * 2, LAST_KNOCK_S)
            self._plan(self._awake_s + peer.knock_s, peer_id, visit, True)
        return effects

    # ---------------------------------------------------------- looking

    @property
    def misses_nodes(self) -> bool:
        """Whether a node that an earlier GCS knew may yet come back."""
        return self._expected_nodes > 0

    def connection(self, peer_id: bytes) -> Connection | None:
        """The newest; None: it is away, or not known."""
        peer = self._peers.get(peer_id)
        return None if peer is None else peer.connection

    # ---------------------------------------------------------- inside

    def _pass(self, now_s: float) -> None:
        self._awake_s += min(max(now_s - self._seen_s, 0.0), 2 * LONGEST_STEP_S)
        self._seen_s = now_s

    def _away(self, peer_id: bytes, peer: _Peer, why: str, grace_s: float, *, at_once: bool = True) -> list[Effect]:
        peer.connection, peer.why, peer.grace_s = None, why, grace_s
        peer.visit = next(self._visits)
        self._plan(self._awake_s + grace_s, peer_id, peer.visit, False)
        if not peer.door[1]:
            return []
        if peer.kind == "node":
            self._closed_doors[peer.door] = peer_id
        if at_once:
            peer.knock_s = FIRST_KNOCK_S
        self._plan(self._awake_s + peer.knock_s, peer_id, peer.visit, True)
        return [Knock(peer_id, peer.door, peer.visit)] if at_once else []

    def _plan(self, at_s: float, peer_id: bytes, visit: int, is_knock: bool) -> None:
        heapq.heappush(self._due, (at_s, next(self._numbers), peer_id, visit, is_knock))

    def _is_void(self, row: tuple[float, int, bytes, int, bool]) -> bool:
        peer = self._peers.get(row[2])
        return peer is None or peer.connection is not None or peer.visit != row[3]

    def _end(self, peer_id: bytes, peer: _Peer, why: str) -> list[Ended]:
        del self._peers[peer_id]
        self._arrived(peer_id, peer)
        of_node = self._of_node.get(peer.node_id, {})
        of_node.pop(peer_id, None)
        if not of_node:
            self._of_node.pop(peer.node_id, None)
        return [Ended(peer.kind, peer_id, why)]

    def _arrived(self, peer_id: bytes, peer: _Peer) -> None:
        """It is not waited for any more, since it came or has ended."""
        if self._closed_doors.get(peer.door) == peer_id:
            del self._closed_doors[peer.door]
        self._expected_nodes -= peer.is_expected and peer.kind == "node"
        peer.is_expected = False

    def validate(self) -> None:
        """The invariants; tests call it after each event."""
        away = {peer_id for peer_id, peer in self._peers.items() if peer.connection is None}
        live = [row for row in self._due if not self._is_void(row)]
        ends = [row[2] for row in live if not row[4]]
        assert sorted(ends) == sorted(away), "each that is away has one end of its grace"
        knocks = [row[2] for row in live if row[4]]
        assert sorted(knocks) == sorted(p for p in away if self._peers[p].door[1]), (
            "and is knocked at, if it has a door"
        )
        cores = {peer_id for peer_id, peer in self._peers.items() if peer.kind == "core"}
        assert {peer_id for of_node in self._of_node.values() for peer_id in of_node} == cores
        doors = {
            p.door: peer_id for peer_id, p in self._peers.items() if p.kind == "node" and peer_id in away and p.door[1]
        }
        assert self._closed_doors.keys() == doors.keys()
        assert self._expected_nodes == sum(p.is_expected and p.kind == "node" for p in self._peers.values())


def _named(door: Door) -> str:
    return f"{door[0]}:{door[1]}"
