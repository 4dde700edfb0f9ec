"""Which node gets a lease request, an actor or a bundle.

Floor: common, pure. Raylets ask it for lease requests, the GCS for actors. It knows rows of the cluster's view, which
are up to one report interval old; whoever is sent somewhere by it may find the place taken, and asks again.
Source: Ray docs, "Scheduling": DEFAULT (hybrid), SPREAD, NodeAffinitySchedulingStrategy, label selectors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from ray._core.common.groups import group_demand
from ray._core.common.labels import matches
from ray._core.common.messages import NodeView, Strategy
from ray._core.common.resources import describe, fits

if TYPE_CHECKING:
    from ray._core.common.config import Config

CRITICAL = ("CPU", "memory", "object_store_memory")
"""Resources whose use tells how full a node is; custom ones and accelerators say nothing about that."""
_NO_LABELS: dict[str, str] = {}
SAMPLE = 64
"""Nodes that are looked at first in a large cluster. A random one of the best fifth of a sample is a random one of the
best fifth of all: so DEFAULT means the same, at a cost that does not grow with the cluster."""


class Outcome(Enum):
    """PLACED: go there. BUSY: wait, some node could hold it. INFEASIBLE: wait, no node of today could ever hold it.
    UNSCHEDULABLE: fail, for its hard affinity can never be met (or `fail_on_unavailable` says not to wait)."""

    PLACED = "placed"
    BUSY = "busy"
    INFEASIBLE = "infeasible"
    UNSCHEDULABLE = "unschedulable"


_EAGERNESS = {Outcome.PLACED: 0, Outcome.BUSY: 1, Outcome.INFEASIBLE: 2, Outcome.UNSCHEDULABLE: 2}


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """`node_id`: where to go (PLACED), or the node to queue at (BUSY); None otherwise. `why`: for users."""

    outcome: Outcome
    node_id: bytes | None = None
    why: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Knobs:
    """The settings `scheduler_*` of the config."""

    spread_threshold: float = 0.5
    top_k_fraction: float = 0.2
    top_k_absolute: int = 1
    avoid_gpu_nodes: bool = True

    @classmethod
    def of(cls, config: Config) -> Knobs:
        return cls(
            config.scheduler_spread_threshold,
            config.scheduler_top_k_fraction,
            config.scheduler_top_k_absolute,
            config.scheduler_avoid_gpu_nodes,
        )


def pick_node(
    demand: Mapping[str, int],
    nodes: Iterable[NodeView],
    strategy: Strategy,
    labels: Mapping[str, str] = _NO_LABELS,
    fallbacks: Sequence[Mapping[str, str]] = (),
    *,
    rng: Random,
    local: bytes = b"",
    prefer: Sequence[bytes] = (),
    spread_after: bytes = b"",
    knobs: Knobs = Knobs(),
) -> Choice:
    """Choose the node for one demand.

    Args:
        demand: amount per resource name in fixed point, none negative, in the user's names (see common.groups).
        nodes: the cluster's view; rows not alive or draining get nothing new.
        labels: the label selector; it must hold, whatever the strategy.
        fallbacks: selectors to take in turn instead of `labels`: the first whose nodes have room now, else the first
            that any node could ever meet.
        rng: breaks ties among the best; a seeded one makes the choice repeat.
        local: the node that asks, preferred while it is less than half used; b"" for the GCS.
        prefer: nodes with most argument bytes, best first; the first with room is taken (DEFAULT only).
        spread_after: the node that SPREAD chose last.
    Raises:
        ValueError: a negative amount in `demand`.
    """
    if any(units < 0 for units in demand.values()):
        raise ValueError(f"A demand has no negative amounts: {describe(demand)}")
    living = [node for node in nodes if node.alive and not node.draining]
    if fallbacks:
        choose = partial(pick_node, demand, living, strategy, rng=rng, local=local, prefer=prefer, knobs=knobs)
        choices = [choose(selector, spread_after=spread_after) for selector in (labels, *fallbacks)]
        return min(choices, key=lambda choice: _EAGERNESS[choice.outcome])  # the first of the best
    if strategy.kind == "PLACEMENT_GROUP":
        demand = group_demand(demand, strategy)
    if strategy.kind == "NODE_AFFINITY":
        return _affine(demand, living, strategy, labels, rng, local, knobs)
    hard = {**labels, **strategy.labels_hard}
    feasible = [node for node in living if fits(demand, node.total) and matches(hard, node.labels)]
    if not feasible and strategy.kind == "PLACEMENT_GROUP":
        why = f"placement group {strategy.placement_group_id.hex()} has no such bundle on any node now"
        return Choice(Outcome.INFEASIBLE, None, why)
    if not feasible:
        return Choice(Outcome.INFEASIBLE, None, explain(demand, living, hard))
    available = [node for node in feasible if fits(demand, node.available)]
    if strategy.labels_soft:
        available = [node for node in available if matches(strategy.labels_soft, node.labels)] or available
    if not available:
        return Choice(Outcome.BUSY, _queue_at(feasible, rng, local), f"all {len(feasible)} feasible nodes are busy")
    if strategy.kind == "SPREAD":
        return Choice(Outcome.PLACED, _next_in_ring(available, spread_after))
    for node_id in prefer:
        if any(node.node_id == node_id for node in available):
            return Choice(Outcome.PLACED, node_id)
    return Choice(Outcome.PLACED, _hybrid(demand, available, rng, local, knobs))


def pick_of_many(
    demand: Mapping[str, int],
    rows: Mapping[bytes, NodeView],
    strategy: Strategy,
    labels: Mapping[str, str] = _NO_LABELS,
    fallbacks: Sequence[Mapping[str, str]] = (),
    *,
    rng: Random,
    local: bytes = b"",
    prefer: Sequence[bytes] = (),
    own: NodeView | None = None,
    spread_after: bytes = b"",
    knobs: Knobs = Knobs(),
) -> Choice:
    """As `pick_node`, of rows by node id, and first from a sample: all are looked at only if none there has room.

    Args:
        own: the newer row of the node that asks.
    """
    choose = partial(pick_node, demand, rng=rng, local=local, prefer=prefer, knobs=knobs)
    if len(rows) > 4 * SAMPLE and strategy.kind == "DEFAULT" and not fallbacks:
        few = {each: rows[each] for each in (local, *prefer, *rng.sample(list(rows), SAMPLE)) if each in rows}
        choice = choose(_with_own(few, own), strategy, labels)
        found = few[choice.node_id] if choice.node_id and choice.outcome is Outcome.PLACED else None
        if found is not None and not (knobs.avoid_gpu_nodes and _wastes_gpu(demand, found)):
            return choice
    return choose(_with_own(rows, own), strategy, labels, fallbacks, spread_after=spread_after)


def _with_own(rows: Mapping[bytes, NodeView], own: NodeView | None) -> list[NodeView]:
    if own is None:
        return list(rows.values())
    return [own, *(row for node_id, row in rows.items() if node_id != own.node_id)]


def explain(demand: Mapping[str, int], nodes: Sequence[NodeView], labels: Mapping[str, str] = _NO_LABELS) -> str:
    """Why no node can ever hold `demand`: what is missing, in a sentence for users."""
    if not nodes:
        return "no node is alive"
    labelled = [node for node in nodes if matches(labels, node.labels)]
    if not labelled:
        return f"no node has the labels {dict(labels)}"
    most: dict[str, int] = {}
    for node in labelled:
        for name, units in node.total.items():
            most[name] = max(most.get(name, 0), units)
    short = {name: units for name, units in demand.items() if units > most.get(name, 0)}
    if not short:
        return f"no single node has {describe(demand)} together"
    has = ", ".join(f"{most.get(name, 0) / 10_000:g} {name}" for name in sorted(short))
    return f"it needs {describe(short)}, and the most that a node has is {has}"


def utilization(node: NodeView) -> float:
    """Share in use of the node's most used critical resource, 0 to 1 (more when a woken worker took its CPU back)."""
    return used_share(node.total, node.available)


def used_share(total: Mapping[str, int], available: Mapping[str, int]) -> float:
    """The same of these amounts."""
    used = 0.0
    for name in CRITICAL:
        units = total.get(name, 0)
        if units > 0:
            used = max(used, 1 - available.get(name, 0) / units)
    return used


# ------------------------------------------------------------------ inside


def _affine(
    demand: Mapping[str, int],
    living: list[NodeView],
    strategy: Strategy,
    labels: Mapping[str, str],
    rng: Random,
    local: bytes,
    knobs: Knobs,
) -> Choice:
    wanted = next((node for node in living if node.node_id == strategy.node_id), None)
    can = wanted is not None and fits(demand, wanted.total) and matches(labels, wanted.labels)
    if wanted is not None and can:
        if fits(demand, wanted.available):
            return Choice(Outcome.PLACED, wanted.node_id)
        if not strategy.spill_on_unavailable:
            if strategy.fail_on_unavailable:
                return Choice(Outcome.UNSCHEDULABLE, None, f"node {strategy.node_id.hex()} is busy")
            return Choice(Outcome.BUSY, wanted.node_id, f"node {strategy.node_id.hex()} is busy")
    if strategy.soft:
        return pick_node(demand, living, Strategy(), labels, rng=rng, local=local, knobs=knobs)
    if wanted is None:
        why = f"node {strategy.node_id.hex()} does not exist any more, or takes no more work"
    else:
        why = f"node {strategy.node_id.hex()} can never hold it: {explain(demand, [wanted], labels)}"
    return Choice(Outcome.UNSCHEDULABLE, None, why)


def _queue_at(feasible: list[NodeView], rng: Random, local: bytes) -> bytes:
    """Wait here if this node could hold it, else at any that could: requests come back when others have room."""
    if any(node.node_id == local for node in feasible):
        return local
    return rng.choice(feasible).node_id


def _next_in_ring(available: list[NodeView], after: bytes) -> bytes:
    ids = [node.node_id for node in available]
    return min((node_id for node_id in ids if node_id > after), default=None) or min(ids)


def _hybrid(demand: Mapping[str, int], available: list[NodeView], rng: Random, local: bytes, knobs: Knobs) -> bytes:
    """Pack below the threshold, on the local node first; then the least used; random among the top k."""
    if knobs.avoid_gpu_nodes:
        available = [node for node in available if not _wastes_gpu(demand, node)] or available
    if not demand and not local:
        return rng.choice(available).node_id  # an actor that holds nothing: anywhere
    scores = [(_score(node, knobs), node.node_id) for node in available]
    best = min(scores)[0]
    if (best, local) in scores:
        return local
    top_k = max(int(len(scores) * knobs.top_k_fraction), knobs.top_k_absolute, 1)
    return rng.choice(sorted(scores)[:top_k])[1]


def _wastes_gpu(demand: Mapping[str, int], node: NodeView) -> bool:
    return bool(node.total.get("GPU")) and not demand.get("GPU")


def _score(node: NodeView, knobs: Knobs) -> float:
    used = utilization(node)
    return 0.0 if used < knobs.spread_threshold else used
