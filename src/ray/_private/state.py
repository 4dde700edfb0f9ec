"""What the GCS knows of the cluster, in the dicts that users know."""

from __future__ import annotations

from typing import Any

from ray._core.common import messages as m
from ray._core.common.resources import to_float
from ray._private.auto_init_hook import connected_core
from ray._private.client_mode_hook import client_mode_hook


@client_mode_hook
def cluster_resources() -> dict[str, float]:
    """What all living nodes have, by resource name. Raises RaySystemError before `ray.init`."""
    return _summed("total")


@client_mode_hook
def available_resources() -> dict[str, float]:
    """What is free on all nodes, up to a report interval old; what is fully used is absent."""
    return _summed("available")


def total_resources_per_node() -> dict[str, dict[str, float]]:
    """By node id in hex."""
    return _per_node("total")


def available_resources_per_node() -> dict[str, dict[str, float]]:
    return _per_node("available")


def _views() -> list[m.NodeView]:
    views: list[m.NodeView] = connected_core().ask_gcs(m.GetClusterResources()).views
    return [view for view in views if view.alive]


def _summed(field: str) -> dict[str, float]:
    total: dict[str, int] = {}
    for view in _views():
        for name, units in getattr(view, field).items():
            total[name] = total.get(name, 0) + units
    return to_float({name: units for name, units in total.items() if units > 0})


def _per_node(field: str) -> dict[str, dict[str, float]]:
    return {view.node_id.hex(): to_float(getattr(view, field)) for view in _views()}


@client_mode_hook
def nodes() -> list[dict[str, Any]]:
    """One dict per node, dead ones too. Raises RaySystemError before `ray.init`."""
    return [_node(info) for info in connected_core().ask_gcs(m.ListNodes()).nodes]


_DEATH_REASONS = (
    *("", "EXPECTED_TERMINATION", "UNEXPECTED_TERMINATION"),
    *("AUTOSCALER_DRAIN_PREEMPTED", "AUTOSCALER_DRAIN_IDLE"),
)
"""By their numbers in `ray.nodes()`."""


def _node(info: m.NodeInfo) -> dict[str, Any]:
    alive = info.state == "ALIVE"
    return {
        "NodeID": info.node_id.hex(),
        "Alive": alive,
        "alive": alive,
        "NodeManagerAddress": info.host,
        "NodeManagerHostname": info.hostname,
        "NodeManagerPort": info.raylet_port,
        "ObjectManagerPort": info.raylet_port,
        "ObjectStoreSocketName": info.arena_path,
        "RayletSocketName": info.raylet_path,
        "MetricsExportPort": info.metrics_port,
        "MetricsAgentPort": info.agent_port,
        "DashboardAgentListenPort": info.agent_port,
        "RuntimeEnvAgentPort": info.agent_port,
        "NodeName": info.name or info.host,
        "DeathReason": _DEATH_REASONS.index(info.death_reason),
        "DeathReasonMessage": info.death_message,
        "Resources": to_float(info.total) if alive else {},
        "Labels": {"ray.io/node-id": info.node_id.hex(), **info.labels},
    }


def __getattr__(name: str) -> Any:
    """Names of older tools, which are asked for less often than this module is imported."""
    if name in ("GlobalState", "actors", "current_node_id", "jobs", "node_ids", "state", "workers"):
        from ray._private import global_state

        return getattr(global_state, name)
    if name == "GlobalStateAccessor":
        from ray._private.global_state_accessor import GlobalStateAccessor

        return GlobalStateAccessor
    if name == "timeline":
        from ray._private.timeline import timeline

        return timeline
    raise AttributeError(f"module 'ray._private.state' has no attribute {name!r}")
