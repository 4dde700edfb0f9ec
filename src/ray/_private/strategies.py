"""From the strategy objects of `ray.util.scheduling_strategies` to the engine's `Strategy`.

Whoever holds such an object has imported their module, so it is looked up there and never imported from here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from ray._core.common.messages import Strategy
from ray._core.common.resources import UNIT

_MODULE = "ray.util.scheduling_strategies"


def check_type(strategy: object) -> None:
    """Raises TypeError when `strategy` is none of Ray's strategies."""
    if _converter(strategy) is None:
        raise TypeError(
            "The type of keyword 'scheduling_strategy' must be None, str or a class of "
            f"{_MODULE}, but received {type(strategy)}"
        )


def check_group_type(group: object) -> None:
    if not _is_group(group):
        raise TypeError(
            "The type of keyword 'placement_group' must be None, 'default' or a PlacementGroup, "
            f"but received {type(group)}"
        )


def _is_group(group: object) -> bool:
    known = getattr(sys.modules.get("ray.util.placement_group"), "PlacementGroup", None)
    return known is not None and isinstance(group, known)


def strategy_of(given: Mapping[str, Any], demand: Mapping[str, int], what: str = "it") -> Strategy | None:
    """The strategy among a task's or an actor's options; None: the parent's group if it captures, else DEFAULT.

    Args:
        demand: what it needs, in fixed point; a placement group must have a bundle that holds it.
        what: name of the function or class, for the message that it does not.
    Raises:
        ValueError: an unknown name, or a demand that no bundle can hold.
    """
    strategy = given.get("scheduling_strategy")
    group = given.get("placement_group", "default")
    if group != "default":
        if strategy is not None:
            raise ValueError(
                "Placement groups should be specified via the scheduling_strategy option. "
                "The placement_group option is deprecated."
            )
        index = given.get("placement_group_bundle_index", -1)
        return _in_group(group, index, given.get("placement_group_capture_child_tasks"), demand, what)
    if strategy is None:
        if given.get("placement_group_bundle_index", -1) != -1:
            raise ValueError("If placement group is not set, the value of bundle index must be -1.")
        return None
    if isinstance(strategy, str):
        if strategy not in ("DEFAULT", "SPREAD"):
            raise ValueError(
                f"Invalid scheduling_strategy value {strategy}. Valid values are "
                '["DEFAULT" | "SPREAD" | PlacementGroupSchedulingStrategy | NodeAffinitySchedulingStrategy]'
            )
        return Strategy(strategy)
    convert = _converter(strategy)
    assert convert is not None  # check_type was here before
    return convert(strategy, demand, what)


def _in_group(group: Any, index: int, capture: bool | None, demand: Mapping[str, int], what: str) -> Strategy:
    if group is None or group.is_empty:
        return Strategy()
    check_bundle(group.bundle_specs, index, demand, what)
    return Strategy(
        "PLACEMENT_GROUP",
        placement_group_id=group.id.binary(),
        bundle_index=index,
        capture_child_tasks=bool(capture),
    )


def check_bundle(bundles: list[dict[str, float]], index: int, demand: Mapping[str, int], what: str = "it") -> None:
    """Raises ValueError when `index` is out of range, or `demand` of `what` fits into no (that) bundle."""
    if not -1 <= index < len(bundles):
        raise ValueError(
            f"placement group bundle index {index} is invalid. Valid placement group indexes: 0-{len(bundles)}"
        )
    candidates = bundles if index == -1 else [bundles[index]]
    if not any(all(bundle.get(name, 0) * UNIT >= units for name, units in demand.items()) for bundle in candidates):
        needed = {name: units / UNIT for name, units in demand.items() if units}
        raise ValueError(
            f"Cannot schedule {what} with the placement group because the resource request {needed} cannot fit into "
            f"any bundles for the placement group, {bundles}."
        )


# ------------------------------------------------------------------ strategy objects


def _placement_group(strategy: Any, demand: Mapping[str, int], what: str) -> Strategy:
    return _in_group(
        strategy.placement_group,
        strategy.placement_group_bundle_index,
        strategy.placement_group_capture_child_tasks,
        demand,
        what,
    )


def _node_affinity(strategy: Any, demand: Mapping[str, int], what: str) -> Strategy:
    return Strategy(
        "NODE_AFFINITY",
        node_id=bytes.fromhex(strategy.node_id),
        soft=bool(strategy.soft),
        spill_on_unavailable=bool(strategy._spill_on_unavailable),
        fail_on_unavailable=bool(strategy._fail_on_unavailable),
    )


def _node_label(strategy: Any, demand: Mapping[str, int], what: str) -> Strategy:
    return Strategy("NODE_LABEL", labels_hard=_labels(strategy.hard), labels_soft=_labels(strategy.soft))


def _labels(matches: list[Any]) -> dict[str, str]:
    """As label selectors: In -> in(a,b), NotIn -> !in(a,b), Exists -> *, DoesNotExist -> !*."""
    texts = {}
    for match in matches:
        kind = type(match.operator).__name__
        if kind in ("In", "NotIn"):
            texts[match.key] = f"{'!' if kind == 'NotIn' else ''}in({','.join(match.operator.values)})"
        else:
            texts[match.key] = "*" if kind == "Exists" else "!*"
    return texts


_CONVERTERS: dict[str, Callable[[Any, Mapping[str, int], str], Strategy]] = {
    "PlacementGroupSchedulingStrategy": _placement_group,
    "NodeAffinitySchedulingStrategy": _node_affinity,
    "NodeLabelSchedulingStrategy": _node_label,
}


def _converter(strategy: object) -> Callable[[Any, Mapping[str, int], str], Strategy] | None:
    for base in type(strategy).__mro__:
        if base.__module__ == _MODULE and base.__name__ in _CONVERTERS:
            return _CONVERTERS[base.__name__]
    return None
