"""What a graph gets when it is executed: `with InputNode() as x:`."""

from __future__ import annotations

from typing import Any, Self

from ray.dag.dag_node import DAGNode

_IN_CONTEXT = "__in_context_manager__"


class DAGInputData:
    """What the InputNode stands for where there is not exactly one positional argument."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._args = args
        self._kwargs = kwargs

    def __getitem__(self, key: int | str) -> Any:
        return self._args[key] if isinstance(key, int) else self._kwargs[key]


class InputNode(DAGNode):
    """The argument of `execute`. With several arguments: `x[0]`, `x["name"]` or `x.name`.

    To be used in a `with` statement; one for a graph.

    Args:
        input_type: noted, not checked.
    Raises:
        ValueError: other arguments.
    """

    def __init__(self, *args: Any, input_type: Any = None, **kwargs: Any) -> None:
        if args or kwargs:
            raise ValueError("InputNode should not take any args or kwargs.")
        super().__init__((), {}, {}, {})
        self._input_type = input_type

    def __enter__(self) -> Self:
        self._bound_other_args_to_resolve[_IN_CONTEXT] = True
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing ends here: the graph built in the statement may be executed later."""

    def __getitem__(self, key: int | str) -> InputAttributeNode:
        if not isinstance(key, (int, str)):
            raise ValueError("Please only use int index or str as first-level key to access fields of dag input.")
        return InputAttributeNode(self, key, "__getitem__")

    def __getattr__(self, name: str) -> InputAttributeNode:
        if name.startswith("_"):
            raise AttributeError(name)
        return InputAttributeNode(self, name, "__getattr__")

    def value_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What it stands for in `execute(*args, **kwargs)`.

        Raises:
            AssertionError: it was made outside of a `with` statement.
        """
        assert self._bound_other_args_to_resolve.get(_IN_CONTEXT), (
            "InputNode is a singleton instance that should be only used in context manager for dag building and "
            "execution: `with InputNode() as x: ...`."
        )
        return args[0] if len(args) == 1 and not kwargs else DAGInputData(*args, **kwargs)

    def _body_text(self) -> str:
        return "__InputNode__"


class InputAttributeNode(DAGNode):
    """`x[0]`, `x["name"]` or `x.name` of an InputNode `x`.

    Args:
        accessor_method: "__getitem__" or "__getattr__".
    """

    def __init__(
        self, dag_input_node: InputNode, key: int | str, accessor_method: str, input_type: str | None = None
    ) -> None:
        others = {"dag_input_node": dag_input_node, "key": key, "accessor_method": accessor_method}
        super().__init__((), {}, {}, others)
        self._key = key
        self._accessor_method = accessor_method

    @property
    def key(self) -> int | str:
        return self._key

    def _call(self) -> Any:
        value = self._bound_other_args_to_resolve["dag_input_node"]
        if isinstance(value, DAGInputData) or self._accessor_method == "__getitem__":
            return value[self._key]
        return getattr(value, str(self._key))

    def _body_text(self) -> str:
        return f'["{self._key}"]'
