"""`str(node)`: the graph below a node as an indented text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.dag.dag_node import DAGNode

_INDENT = "    "


def format_node(node: DAGNode) -> str:
    parts = (
        ("body", node._body_text()),
        ("args", _items(list(node.get_args()))),
        ("kwargs", _mapping(node.get_kwargs())),
        ("options", _mapping(node.get_options())),
        ("other_args_to_resolve", _mapping(node.get_other_args_to_resolve())),
    )
    body = "\n".join(f"{name}={text}" for name, text in parts)
    return f"({type(node).__name__}, {node.get_stable_uuid()})(\n{_indented(body)}\n)"


def _items(values: list[Any]) -> str:
    if not values:
        return "[]"
    return "[\n" + _indented("\n".join(_value(value) for value in values)) + "\n]"


def _mapping(values: dict[str, Any]) -> str:
    if not values:
        return "{}"
    return "{\n" + _indented("\n".join(f"{name}: {_value(value)}" for name, value in values.items())) + "\n}"


def _value(value: Any) -> str:
    from ray.dag.dag_node import DAGNode

    return f"\n{_indented(str(value))}" if isinstance(value, DAGNode) else f"{value}, "


def _indented(text: str) -> str:
    return "\n".join(_INDENT + line for line in text.splitlines())
