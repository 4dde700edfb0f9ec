"""Graphs with several results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray.dag.dag_node import DAGNode


class MultiOutputNode(DAGNode):
    """Stands for a list of results.

    Args:
        args: list or tuple of nodes.
    Raises:
        ValueError: something else.
    """

    def __init__(self, args: Sequence[Any], other_args_to_resolve: dict[str, Any] | None = None) -> None:
        if not isinstance(args, (list, tuple)):
            raise ValueError(f"Invalid input type for `args`, {type(args)}.")
        super().__init__(args, {}, {}, other_args_to_resolve or {})

    def _call(self) -> list[Any]:
        return list(self._bound_args)

    def _body_text(self) -> str:
        return "__MultiOutputNode__"
