"""How the resources of a placement group are named on the nodes that hold its bundles.

Floor: common, pure. A node which has bundle i of group g has, besides its own, `CPU_group_<i>_<g>` (in this bundle),
`CPU_group_<g>` (in any bundle of the group here), and `bundle_group_…` (1000 per bundle, of which everything that runs
inside takes 0.001, so that it belongs to the bundle even if it needs nothing). Source: Ray docs, "Placement groups".
"""

from __future__ import annotations

from collections.abc import Mapping

from ray._core.common.messages import Strategy
from ray._core.common.resources import UNIT, Resources

MARK = "bundle"
MARKS_PER_BUNDLE = 1000 * UNIT
MARK_TAKEN = UNIT // 1000
_INFIX = "_group_"


def bundle_resources(group_id: bytes, index: int, resources: Mapping[str, int]) -> Resources:
    """What a node gains with bundle `index` of the group."""
    group = group_id.hex()
    gained: Resources = {}
    for name, units in (*resources.items(), (MARK, MARKS_PER_BUNDLE)):
        gained[f"{name}{_INFIX}{index}_{group}"] = units
        gained[f"{name}{_INFIX}{group}"] = units
    return gained


def mark_of(group_id: bytes, index: int) -> str:
    """The resource of which everything that runs in the bundle takes a little."""
    return f"{MARK}{_INFIX}{index}_{group_id.hex()}"


def group_demand(demand: Mapping[str, int], strategy: Strategy) -> Resources:
    """The demand in the names of the strategy's group: of one bundle, or for index -1 of any of them."""
    group, index = strategy.placement_group_id.hex(), strategy.bundle_index
    translated: Resources = {}
    for name, units in (*demand.items(), (MARK, MARK_TAKEN)):
        translated[f"{name}{_INFIX}{group}"] = units
        if index >= 0:
            translated[f"{name}{_INFIX}{index}_{group}"] = units
    return translated


def in_bundle(demand: Mapping[str, int], group_id: bytes, index: int) -> Resources:
    """A demand of any bundle (index -1, translated) as one of bundle `index`."""
    suffix, group = f"{_INFIX}{group_id.hex()}", group_id.hex()
    concrete = dict(demand)
    for name, units in demand.items():
        if name.endswith(suffix):
            concrete[f"{name[: -len(suffix)]}{_INFIX}{index}_{group}"] = units
    return concrete


def users_names(amounts: Mapping[str, int]) -> Resources:
    """The amounts in the names that users know: each resource once, whether of a group or not, without marks."""
    plain: Resources = {}
    for name, units in amounts.items():
        base, infix, rest = name.partition(_INFIX)
        if not infix:
            plain[name] = units
        elif base != MARK and "_" not in rest:
            plain[base] = units
    return plain
