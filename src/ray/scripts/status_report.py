"""The text of `ray status`. Pure, but for `requested`: what the GCS answered in, lines out.

Source: cluster.md 1.5; Ray docs, "Cluster monitoring CLI".
"""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ray._core.common import messages as m
from ray._core.common.resources import UNIT

REQUESTS = b"autoscaler_resource_request"
"""Where the key-value table keeps what `request_resources` was given."""
RULE = "-" * 63
_BYTES = ("memory", "object_store_memory")


def report(
    cluster: m.ClusterResources,
    nodes: Iterable[m.NodeInfo],
    now: datetime.datetime,
    *,
    verbose: bool = False,
    request_s: float = 0.0,
    wanted: Sequence[Mapping[str, float]] = (),
) -> str:
    """All of it.

    Args:
        nodes: all that the GCS knows, the dead too.
        wanted: what `request_resources` was last given.
        request_s: how long the GCS took to answer; shown when `verbose`.
    """
    views = [view for view in cluster.views if view.alive]
    lines = [f"======== Autoscaler status: {now:%Y-%m-%d %H:%M:%S.%f} ========"]
    if verbose:
        lines += [f"GCS request time: {request_s:.6f}s", ""]
    lines += ["Node status", RULE, *_node_lines(views, nodes), "", "Resources", RULE]
    lines += ["Total Usage:", *_usage(views, cluster.pending_groups), ""]
    lines += ["From request_resources:", *_requested(wanted), "Pending Demands:", *_demands(cluster)]
    if verbose:
        for view in views:
            node = view.node_id.hex()
            lines += ["", f"Node: {node} (node_{node})", " Usage:", *(" " + line for line in _usage([view], []))]
    return "\n".join(lines)


_INTENDED = ("EXPECTED_TERMINATION", "AUTOSCALER_DRAIN_IDLE")


def _node_lines(views: list[m.NodeView], nodes: Iterable[m.NodeInfo]) -> list[str]:
    failed = [node for node in nodes if node.state == "DEAD" and node.death_reason not in _INTENDED]
    lines = ["Active:", *([f" 1 node_{view.node_id.hex()}" for view in views] or [" (no active nodes)"])]
    lines += ["Pending:", " (no pending nodes)", "Recent failures:"]
    return lines + (
        [f" {node.host}: node_{node.node_id.hex()}, {node.death_message}" for node in failed] or [" (no failures)"]
    )


def _usage(views: list[m.NodeView], groups: list[m.PlacementGroupInfo]) -> list[str]:
    total: Counter[str] = Counter()
    free: Counter[str] = Counter()
    reserved: Counter[str] = Counter()
    reserved_free: Counter[str] = Counter()
    for view in views:
        for name, units in view.total.items():
            base = _of_a_group(name)
            if base is None:
                total[name] += units
                free[name] += view.available.get(name, 0)
            elif base:
                reserved[base] += units
                reserved_free[base] += view.available.get(name, 0)
    lines = []
    for name in sorted(total):
        if name.startswith("node:") or name.startswith("bundle"):
            continue
        taken = reserved[name]
        used = total[name] - free[name] - taken + (taken - reserved_free[name])
        line = f" {_amount(name, used)}/{_amount(name, total[name])} {name}"
        if taken:
            used = taken - reserved_free[name]
            line += f" ({_amount(name, used)} used of {_amount(name, taken)} reserved in placement groups)"
        lines.append(line)
    return lines or [" (no resources)"]


def _of_a_group(name: str) -> str | None:
    """ "CPU" for "CPU_group_<id>", "" for what counts twice ("CPU_group_<index>_<id>"); None for plain ones."""
    base, found, rest = name.partition("_group_")
    if not found or base == "bundle":
        return "" if found else None
    return "" if "_" in rest else base


def _amount(name: str, units: int) -> str:
    value = max(units, 0) / UNIT
    return size(value) if name in _BYTES else str(round(value, 4))


def size(number: float) -> str:
    """ "0B", "976.57KiB", "6.89GiB" """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            break
        number /= 1024
    return f"{int(number)}B" if unit == "B" else f"{number:.2f}{unit}"


def requested(ask: Callable[[m.Request], Any]) -> list[dict[str, float]]:
    """What `ray.autoscaler.sdk.request_resources` was last given. `ask`: asks the GCS."""
    value = ask(m.KvGet(namespace="", key=REQUESTS)).value
    bundles: list[dict[str, float]] = json.loads(value) if value else []
    return bundles


def _requested(wanted: Sequence[Mapping[str, float]]) -> list[str]:
    shapes = Counter(str(dict(bundle)) for bundle in wanted)
    return [f" {shape}: {count} from request_resources()" for shape, count in shapes.items()] or [" (none)"]


def _demands(cluster: m.ClusterResources) -> list[str]:
    shapes: Counter[tuple[tuple[str, int], ...]] = Counter()
    for demand in cluster.demands:
        shapes[tuple(sorted(demand.resources.items()))] += demand.count
    lines = [f" {_shape(dict(shape))}: {count}+ pending tasks/actors" for shape, count in sorted(shapes.items())]
    groups: Counter[str] = Counter()
    for group in cluster.pending_groups:
        bundles = Counter(_shape(bundle.resources) for bundle in group.bundles)
        what = ", ".join(f"{shape} * {count}" for shape, count in bundles.items())
        groups[f"{what} ({group.strategy})"] += 1
    lines += [f" {shape}: {count}+ pending placement groups" for shape, count in groups.items()]
    return lines or [" (no resource demands)"]


def _shape(resources: Mapping[str, int]) -> str:
    return str({name: units / UNIT for name, units in sorted(resources.items()) if units})
