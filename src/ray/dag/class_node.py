"""`Class.bind(...)`, and `.bind(...)` on methods of such a node or of a living actor."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ray.dag.constants import (
    BIND_INDEX_KEY,
    IS_CLASS_METHOD_OUTPUT_KEY,
    PARENT_CLASS_NODE_KEY,
    PREV_CLASS_METHOD_CALL_KEY,
)
from ray.dag.dag_node import DAGNode, nodes_in
from ray.dag.input_node import InputAttributeNode, InputNode

_bind_indexes = itertools.count()
"""Tells in which order calls on living actors were bound."""


class ClassNode(DAGNode):
    """An actor that has not been started. Each `execute` starts one.

    Args:
        cls: the plain class.
    Raises:
        ValueError: an InputNode among the arguments.
    """

    def __init__(
        self,
        cls: type,
        cls_args: Sequence[Any],
        cls_kwargs: Mapping[str, Any],
        cls_options: Mapping[str, Any],
        other_args_to_resolve: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(cls_args, cls_kwargs, cls_options, other_args_to_resolve or {})
        self._body = cls
        self._actor_class: Any = None
        self._last_call: ClassMethodNode | None = None
        inputs = nodes_in([self._bound_args, self._bound_kwargs, self._bound_other_args_to_resolve])
        if any(isinstance(node, (InputNode, InputAttributeNode)) for node in inputs):
            raise ValueError(
                "InputNode handles user dynamic input the DAG, and cannot be used as args, kwargs, or "
                "other_args_to_resolve in ClassNode constructor because it is not available at class construction "
                "or binding time."
            )

    @classmethod
    def of(cls, actor_class: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ClassNode:
        metadata = actor_class.__ray_metadata__
        node = cls(metadata.modified_class, args, kwargs, actor_class._default_options)
        node._actor_class = actor_class
        return node

    def _call(self) -> Any:
        if self._actor_class is None:
            from ray.actor import make_actor_class

            self._actor_class = make_actor_class(self._body, self._bound_options)
        return self._actor_class.remote(*self._bound_args, **self._bound_kwargs)

    def _body_text(self) -> str:
        return str(self._body)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if not hasattr(self._body, name):
            raise AttributeError(f"type object {self._body.__name__!r} has no attribute {name!r}")
        return _UnboundClassMethodNode(self, name, {})


class _UnboundClassMethodNode:
    """`node.method`, before `.bind(...)`."""

    def __init__(self, actor: ClassNode, method_name: str, options: Mapping[str, Any]) -> None:
        self._actor = actor
        self._method_name = method_name
        self._options = options

    def bind(self, *args: Any, **kwargs: Any) -> ClassMethodNode:
        others = {
            PARENT_CLASS_NODE_KEY: self._actor,
            PREV_CLASS_METHOD_CALL_KEY: self._actor._last_call,
        }
        node = ClassMethodNode(self._method_name, args, kwargs, self._options, others)
        self._actor._last_call = node  # the actor's calls are made in the order in which they were bound
        return node

    def options(self, **options: Any) -> _UnboundClassMethodNode:
        return _UnboundClassMethodNode(self._actor, self._method_name, {**self._options, **options})

    def __getattr__(self, name: str) -> NoReturn:
        if name == "remote":
            raise AttributeError(
                ".remote() cannot be used on ClassMethodNodes. Use .bind() instead to express an symbolic actor call."
            )
        raise AttributeError(name)


class ClassMethodNode(DAGNode):
    """A call of an actor's method that has not been made.

    Args:
        other_args_to_resolve: "parent_class_node", the ClassNode or the handle; "prev_class_method_call", the call
            of the same ClassNode that was bound before; "is_class_method_output", this stands for one of the results
            of the call that is its first argument, whose place is the second.
    """

    def __init__(
        self,
        method_name: str,
        method_args: Sequence[Any],
        method_kwargs: Mapping[str, Any],
        method_options: Mapping[str, Any],
        other_args_to_resolve: Mapping[str, Any],
    ) -> None:
        super().__init__(method_args, method_kwargs, method_options, other_args_to_resolve)
        self._method_name = method_name
        self._parent_class_node = other_args_to_resolve[PARENT_CLASS_NODE_KEY]
        self._method: Any = None

    @classmethod
    def of(
        cls, handle: Any, name: str, method: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> ClassMethodNode | tuple[ClassMethodNode, ...]:
        """A call of `method`, which is a living actor's; with several returns, a node for each of them."""
        num_returns: int = method._num_returns
        others = {PARENT_CLASS_NODE_KEY: handle, PREV_CLASS_METHOD_CALL_KEY: None, BIND_INDEX_KEY: next(_bind_indexes)}
        node = cls(name, args, kwargs, {"num_returns": num_returns}, others)
        node._method = method
        if num_returns <= 1:
            return node
        others = {PARENT_CLASS_NODE_KEY: handle, IS_CLASS_METHOD_OUTPUT_KEY: True}
        return tuple(cls(f"return_idx_{index}", (node, index), {}, {}, others) for index in range(num_returns))

    def get_method_name(self) -> str:
        return self._method_name

    @property
    def is_class_method_output(self) -> bool:
        return bool(self._bound_other_args_to_resolve.get(IS_CLASS_METHOD_OUTPUT_KEY))

    @property
    def is_class_method_call(self) -> bool:
        return not self.is_class_method_output

    @property
    def class_method_call(self) -> ClassMethodNode | None:
        """The call whose result this stands for."""
        return self._bound_args[0] if self.is_class_method_output else None

    @property
    def output_idx(self) -> int | None:
        return self._bound_args[1] if self.is_class_method_output else None

    @property
    def num_returns(self) -> int:
        returns: int = self._bound_options.get("num_returns", 1) if self.is_class_method_call else 1
        return returns

    def _get_bind_index(self) -> int:
        index: int = self._bound_other_args_to_resolve[BIND_INDEX_KEY]
        return index

    def _get_actor_handle(self) -> Any:
        """The living actor; None if it is to be started."""
        return None if isinstance(self._parent_class_node, ClassNode) else self._parent_class_node

    def _call(self) -> Any:
        if self.is_class_method_output:
            results, index = self._bound_args
            return results[index]
        method = self._method
        if method is None:
            method = getattr(self._bound_other_args_to_resolve[PARENT_CLASS_NODE_KEY], self._method_name)
            if self._bound_options:
                method = method.options(**self._bound_options)
        return method.remote(*self._bound_args, **self._bound_kwargs)

    def _body_text(self) -> str:
        return f"{self._method_name}()"
