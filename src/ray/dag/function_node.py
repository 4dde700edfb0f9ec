"""`f.bind(...)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray.dag.dag_node import DAGNode


class FunctionNode(DAGNode):
    """A task that has not been started.

    Args:
        func_body: the plain function.
    """

    def __init__(
        self,
        func_body: Callable[..., Any],
        func_args: Sequence[Any],
        func_kwargs: Mapping[str, Any],
        func_options: Mapping[str, Any],
        other_args_to_resolve: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(func_args, func_kwargs, func_options, other_args_to_resolve or {})
        self._body = func_body
        self._remote_function: Any = None

    @classmethod
    def of(cls, remote_function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> FunctionNode:
        node = cls(remote_function._function, args, kwargs, remote_function._default_options)
        node._remote_function = remote_function
        return node

    def _call(self) -> Any:
        if self._remote_function is None:
            from ray.remote_function import RemoteFunction

            self._remote_function = RemoteFunction(self._body, self._bound_options)
        return self._remote_function.remote(*self._bound_args, **self._bound_kwargs)

    def _body_text(self) -> str:
        return str(self._body)
