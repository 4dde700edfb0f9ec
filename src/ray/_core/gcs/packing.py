"""Which node gets which bundle of a placement group: all of them, or none.

Floor: gcs, pure. STRICT_PACK and STRICT_SPREAD find a place whenever there is one; PACK and SPREAD are greedy (the best
packing is NP-hard). Source: Ray docs, "Placement groups", "Placement strategy".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ray._core.common.labels import matches
from ray._core.common.messages import BundleSpec, NodeView
from ray._core.common.policy import utilization
from ray._core.common.resources import Resources, fits, subtract, total

WINDOW = 64
"""Nodes."""
Places = dict[int, bytes]
"""Node id by bundle index."""


def pack(
    bundles: Sequence[BundleSpec],
    strategy: str,
    nodes: Sequence[NodeView],
    placed: Mapping[int, bytes] = {},
    soft_target: bytes = b"",
    topology_label: str = "",
) -> Places | None:
    """A node for each of `bundles`, all of which fit there together; None when there is no way now.

    Args:
        nodes: the cluster's view; rows not alive or draining get nothing.
        placed: bundles of the same group that keep their place.
        soft_target: the node that STRICT_PACK should take if it can.
        topology_label: all nodes taken have the same value of it; "" for none.
    """
    if topology_label:
        return _within_one_domain(bundles, strategy, nodes, placed, topology_label)
    names = {name for bundle in bundles for name in bundle.resources}  # a node with many groups has many others
    rooms = {node.node_id: _Room(node, names) for node in nodes if node.alive and not node.draining}
    match strategy:
        case "STRICT_PACK":
            return _strict_pack(bundles, rooms, placed, soft_target)
        case "STRICT_SPREAD":
            return _strict_spread(bundles, rooms, placed)
        case "SPREAD":
            return _spread(bundles, rooms, placed)
        case _:
            return _pack(bundles, rooms, placed)


def pack_among_many(
    bundles: Sequence[BundleSpec],
    strategy: str,
    nodes: Sequence[NodeView],
    placed: Mapping[int, bytes] = {},
    soft_target: bytes = b"",
    topology_label: str = "",
    turn: int = 0,
) -> Places | None:
    """As `pack`, and first into a window of the nodes, which goes on with each `turn`: all are looked at only if there
    is no way in there, so that in a large cluster the cost does not grow with it."""
    width = max(WINDOW, 4 * len(bundles))
    if len(nodes) > 4 * width:
        start = turn * width % len(nodes)
        window = [*nodes[start : start + width], *nodes[: max(start + width - len(nodes), 0)]]
        if placed or soft_target:
            known, needed = {node.node_id for node in window}, {*placed.values(), soft_target}
            window += [node for node in nodes if node.node_id in needed and node.node_id not in known]
        places = pack(bundles, strategy, window, placed, soft_target, topology_label)
        if places is not None:
            return places
    return pack(bundles, strategy, nodes, placed, soft_target, topology_label)


def is_feasible(
    bundles: Sequence[BundleSpec],
    strategy: str,
    nodes: Sequence[NodeView],
    placed: Mapping[int, bytes] = {},
    topology_label: str = "",
) -> bool:
    """Whether idle nodes could hold the bundles."""
    idle = [msgspec.structs.replace(node, available=node.total) for node in nodes]
    return pack(bundles, strategy, idle, placed, topology_label=topology_label) is not None


def _within_one_domain(
    bundles: Sequence[BundleSpec], strategy: str, nodes: Sequence[NodeView], placed: Mapping[int, bytes], label: str
) -> Places | None:
    """By `strategy`, on nodes of one value of `label`: where the group is already, else where it takes fewest nodes
    (or most, if it is to be spread), and of these where most is used."""
    domains: dict[str, list[NodeView]] = {}
    for node in nodes:
        if label in node.labels:
            domains.setdefault(node.labels[label], []).append(node)
    there = set(placed.values())
    best: tuple[tuple[int, float, str], Places] | None = None
    for value, rows in domains.items():
        if not there <= {node.node_id for node in rows}:
            continue
        places = pack(bundles, strategy, rows, placed)
        if places is not None:
            count = len(there | set(places.values()))
            used = sum(utilization(node) for node in rows) / len(rows)
            rank = (-count if strategy == "SPREAD" else count, -used, value)
            if best is None or rank < best[0]:
                best = (rank, places)
    return None if best is None else best[1]


class _Room:
    """What is left on a node, of the resources in question, while bundles are given to it."""

    __slots__ = ("left", "node", "used")

    def __init__(self, node: NodeView, names: Iterable[str]) -> None:
        self.node = node
        self.left: Resources = {name: node.available.get(name, 0) for name in names}
        self.used = utilization(node)

    def holds(self, bundle: BundleSpec) -> bool:
        return fits(bundle.resources, self.left) and matches(bundle.label_selector, self.node.labels)

    def take(self, bundle: BundleSpec) -> None:
        subtract(self.left, bundle.resources)

    def wastes_gpu(self, bundles: Sequence[BundleSpec]) -> bool:
        return bool(self.node.total.get("GPU")) and not any(bundle.resources.get("GPU") for bundle in bundles)


Rooms = dict[bytes, _Room]


def _largest_first(bundles: Sequence[BundleSpec], rooms: Rooms) -> list[BundleSpec]:
    """By the largest share of the cluster's most of a resource that a bundle wants."""
    if len(bundles) < 2:
        return list(bundles)
    names = {name for bundle in bundles for name in bundle.resources}
    most = {name: max((room.node.total.get(name, 0) for room in rooms.values()), default=0) for name in names}

    def share(bundle: BundleSpec) -> float:
        return max((units / most[name] for name, units in bundle.resources.items() if most.get(name)), default=0.0)

    return sorted(bundles, key=share, reverse=True)


def _strict_pack(
    bundles: Sequence[BundleSpec], rooms: Rooms, placed: Mapping[int, bytes], soft_target: bytes
) -> Places | None:
    demand = total(bundle.resources for bundle in bundles)
    candidates = [
        room
        for node_id, room in rooms.items()
        if all(node_id == other for other in placed.values())
        and fits(demand, room.left)
        and all(matches(bundle.label_selector, room.node.labels) for bundle in bundles)
    ]
    if not candidates:
        return None

    def rank(room: _Room) -> tuple[bool, bool, float, bytes]:
        return (room.node.node_id != soft_target, room.wastes_gpu(bundles), -room.used, room.node.node_id)

    node_id = min(candidates, key=rank).node.node_id
    return {bundle.index: node_id for bundle in bundles}


def _strict_spread(bundles: Sequence[BundleSpec], rooms: Rooms, placed: Mapping[int, bytes]) -> Places | None:
    """One bundle per node: a matching of bundles and nodes, found by augmenting paths."""
    free = sorted(
        (room for node_id, room in rooms.items() if node_id not in set(placed.values())),
        key=lambda room: (room.wastes_gpu(bundles), room.used, room.node.node_id),
    )
    choices = [[room.node.node_id for room in free if room.holds(bundle)] for bundle in bundles]
    holder: dict[bytes, int] = {}

    def place(number: int, seen: set[bytes]) -> bool:
        for node_id in choices[number]:
            if node_id not in seen:
                seen.add(node_id)
                if node_id not in holder or place(holder[node_id], seen):
                    holder[node_id] = number
                    return True
        return False

    if not all(place(number, set()) for number in range(len(bundles))):
        return None
    return {bundles[number].index: node_id for node_id, number in holder.items()}


def _spread(bundles: Sequence[BundleSpec], rooms: Rooms, placed: Mapping[int, bytes]) -> Places | None:
    counts = dict.fromkeys(rooms, 0)
    for node_id in placed.values():
        counts[node_id] = counts.get(node_id, 0) + 1
    places: Places = {}
    for bundle in _largest_first(bundles, rooms):
        able = [room for room in rooms.values() if room.holds(bundle)]
        if not able:
            return None
        room = min(able, key=lambda r: (counts[r.node.node_id], r.wastes_gpu([bundle]), r.used, r.node.node_id))
        room.take(bundle)
        counts[room.node.node_id] += 1
        places[bundle.index] = room.node.node_id
    return places


def _pack(bundles: Sequence[BundleSpec], rooms: Rooms, placed: Mapping[int, bytes]) -> Places | None:
    """Again and again the node that takes most of what is left; nodes that the group has already come first."""
    used_already = set(placed.values())
    left, places = _largest_first(bundles, rooms), dict[int, bytes]()
    while left:
        best: tuple[tuple[int, bool, bool, float], _Room, list[BundleSpec]] | None = None
        for node_id, room in rooms.items():
            taken = _fill(room, left)
            rank = (len(taken), node_id in used_already, not room.wastes_gpu(taken), room.used)
            if taken and (best is None or rank > best[0]):
                best = (rank, room, taken)
        if best is None:
            return None
        _, room, taken = best
        for bundle in taken:
            room.take(bundle)
            places[bundle.index] = room.node.node_id
        used_already.add(room.node.node_id)
        left = [bundle for bundle in left if bundle.index not in places]
    return places


def _fill(room: _Room, bundles: Sequence[BundleSpec]) -> list[BundleSpec]:
    """Those of `bundles`, taken in order, that fit into the room together."""
    left, taken = dict(room.left), []
    for bundle in bundles:
        if fits(bundle.resources, left) and matches(bundle.label_selector, room.node.labels):
            subtract(left, bundle.resources)
            taken.append(bundle)
    return taken
