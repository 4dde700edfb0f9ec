"""Scheduling strategies: what `scheduling_strategy=` of tasks and actors takes besides "DEFAULT" and "SPREAD"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

NODE_ID_LENGTH = 56
"""Hex digits of a node id."""


class PlacementGroupSchedulingStrategy:
    """Run inside a placement group.

    Args:
        placement_group: the group; None: outside of any, even if the caller's group captures its children.
        placement_group_bundle_index: which bundle; -1: any that has room.
        placement_group_capture_child_tasks: whether what is submitted from there goes into the group too.
    """

    def __init__(
        self,
        placement_group: Any,
        placement_group_bundle_index: int = -1,
        placement_group_capture_child_tasks: bool | None = None,
    ) -> None:
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks


class NodeAffinitySchedulingStrategy:
    """Run on one node.

    Args:
        node_id: in hex, as `ray.nodes()` tells it.
        soft: go elsewhere when the node has died or can never hold it; otherwise that is an error.
        _spill_on_unavailable: with `soft`: go elsewhere also when the node is busy.
        _fail_on_unavailable: without `soft`: fail instead of waiting when the node is busy.
    Raises:
        ValueError: no node id, or flags that contradict each other.
    """

    def __init__(
        self, node_id: str, soft: bool, _spill_on_unavailable: bool = False, _fail_on_unavailable: bool = False
    ) -> None:
        node_id = node_id if isinstance(node_id, str) else node_id.hex()
        if len(node_id) != NODE_ID_LENGTH or not _is_hex(node_id):
            raise ValueError(
                f"Invalid node_id '{node_id}'. Node ID must be a valid hex string. To get a list of all nodes and "
                "their IDs in your cluster, use ray.nodes()."
            )
        if _spill_on_unavailable and not soft:
            raise ValueError("_spill_on_unavailable cannot be set when soft is False.")
        if _fail_on_unavailable and soft:
            raise ValueError("_fail_on_unavailable cannot be set when soft is True.")
        self.node_id = node_id
        self.soft = soft
        self._spill_on_unavailable = _spill_on_unavailable
        self._fail_on_unavailable = _fail_on_unavailable


def _is_hex(text: str) -> bool:
    return all(digit in "0123456789abcdefABCDEF" for digit in text)


class In:
    """The label has one of these values."""

    def __init__(self, *values: str) -> None:
        self.values = _checked_values(values, "In")


class NotIn:
    """The label has none of these values, or does not exist."""

    def __init__(self, *values: str) -> None:
        self.values = _checked_values(values, "NotIn")


class Exists:
    """The label exists."""


class DoesNotExist:
    """The label does not exist."""


Operator: TypeAlias = In | NotIn | Exists | DoesNotExist


def _checked_values(values: tuple[str, ...], name: str) -> list[str]:
    if not values:
        raise ValueError(
            f'The variadic parameter of the {name} operator must be a non-empty tuple: e.g. {name}("value1", "value2").'
        )
    for position, value in enumerate(values):
        if not isinstance(value, str):
            raise ValueError(
                f"Type of value in position {position} for the {name} operator must be str "
                f'(e.g. {name}("value1", "value2")) but got {value} of type {type(value)}.'
            )
    return list(values)


class LabelMatch:
    """One condition on one label."""

    def __init__(self, key: str, operator: Operator) -> None:
        self.key = key
        self.operator = operator


class NodeLabelSchedulingStrategy:
    """Run on a node whose labels satisfy all of `hard`, and all of `soft` if there is one such with room.

    Raises:
        ValueError: both are empty, or one is no dict of operators by label.
    """

    def __init__(self, hard: Mapping[str, Operator], *, soft: Mapping[str, Operator] | None = None) -> None:
        self.hard = _matches(hard, "hard")
        self.soft = _matches(soft, "soft")
        if not self.hard and not self.soft:
            raise ValueError("The `hard` and `soft` parameter of NodeLabelSchedulingStrategy cannot both be empty.")


def _matches(operators: Mapping[str, Operator] | None, name: str) -> list[LabelMatch]:
    if operators is None:
        return []
    if not isinstance(operators, Mapping):
        raise ValueError(
            f'The {name} parameter must be a map (e.g. {{"key1": In("value1")}}) but got type {type(operators)}.'
        )
    for key, operator in operators.items():
        if not isinstance(key, str):
            raise ValueError(
                f'The map key of the {name} parameter must be of type str (e.g. {{"key1": In("value1")}}) '
                f"but got {key} of type {type(key)}."
            )
        if not isinstance(operator, (In, NotIn, Exists, DoesNotExist)):
            raise ValueError(
                f"The map value for key {key} of the {name} parameter must be one of the `In`, `NotIn`, `Exists` or "
                f'`DoesNotExist` operator (e.g. {{"key1": In("value1")}}) but got {operator} of type {type(operator)}.'
            )
    return [LabelMatch(key, operator) for key, operator in operators.items()]


SchedulingStrategyT: TypeAlias = (
    str | PlacementGroupSchedulingStrategy | NodeAffinitySchedulingStrategy | NodeLabelSchedulingStrategy | None
)
"""What `scheduling_strategy=` takes."""
