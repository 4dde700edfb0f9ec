"""What all nodes of a task graph have in common: their arguments, which may be nodes, and how a graph is run.

A node is a call that has not been made: `f.bind(g.bind(1))`. `execute` makes the calls, each node's once, and passes
refs from one to the next. Nodes are found as arguments, and inside lists, tuples, dicts and sets.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from ray.dag.constants import PREV_CLASS_METHOD_CALL_KEY
from ray.util.annotations import RayDeprecationWarning

if TYPE_CHECKING:
    from ray.dag.compiled_dag_node import CompiledDAG

T = TypeVar("T")


class DAGNode:
    """A call that has not been made.

    Args:
        args, kwargs: of the call; nodes among them stand for their results.
        options: of the task or actor.
        other_args_to_resolve: nodes that have to come first, and facts of the kind of node.
    """

    def __init__(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
        other_args_to_resolve: Mapping[str, Any],
    ) -> None:
        self._bound_args = tuple(args)
        self._bound_kwargs = dict(kwargs)
        self._bound_options = dict(options)
        self._bound_other_args_to_resolve = dict(other_args_to_resolve)
        self._stable_uuid = uuid.uuid4().hex

    # ------------------------------------------------------------------ looking

    def get_args(self) -> tuple[Any, ...]:
        return self._bound_args

    def get_kwargs(self) -> dict[str, Any]:
        return dict(self._bound_kwargs)

    def get_options(self) -> dict[str, Any]:
        return dict(self._bound_options)

    def get_other_args_to_resolve(self) -> dict[str, Any]:
        return dict(self._bound_other_args_to_resolve)

    def get_stable_uuid(self) -> str:
        """Stays the same through copies and pickles of the node."""
        return self._stable_uuid

    def _get_toplevel_child_nodes(self) -> list[DAGNode]:
        """Nodes that are arguments themselves, each once."""
        found = [arg for arg in (*self._bound_args, *self._bound_kwargs.values()) if isinstance(arg, DAGNode)]
        found += [each for each in self._bound_other_args_to_resolve.values() if isinstance(each, DAGNode)]
        return list({node._stable_uuid: node for node in found}.values())

    def _get_all_child_nodes(self) -> list[DAGNode]:
        """Those, and the nodes inside containers."""
        parts = self._bound_args, self._bound_kwargs, self._bound_other_args_to_resolve
        return list({node._stable_uuid: node for part in parts for node in nodes_in(part)}.values())

    # ------------------------------------------------------------------ running

    def execute(self, *args: Any, _ray_cache_refs: bool = False, **kwargs: Any) -> Any:
        """Make all calls that this one needs, each once, and this one.

        Args:
            args, kwargs: what the graph's InputNode stands for.
        Returns:
            A ref; for a class, the actor's handle; for a MultiOutputNode, a list.
        Raises:
            AssertionError: the graph has two InputNodes, or one made outside of a `with` statement.
        """
        warnings.warn(
            "DAGNode.execute() is deprecated and will be removed in a future release.",
            RayDeprecationWarning,
            stacklevel=2,
        )
        results = self._run(args, kwargs)
        if _ray_cache_refs:
            self.cache_from_last_execute = results
        return results[self._stable_uuid]

    cache_from_last_execute: Mapping[str, Any] = {}

    def get_object_refs_from_last_execute(self) -> dict[str, Any]:
        """By the uuid of each node, its result in the last `execute(..., _ray_cache_refs=True)`."""
        return dict(self.cache_from_last_execute)

    def clear_cache(self) -> None:
        self.cache_from_last_execute = {}

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The result of every node, by uuid."""
        from ray.dag.input_node import InputNode

        order = in_order(self)
        inputs = [node for node in order if isinstance(node, InputNode)]
        assert len(inputs) <= 1, "Each DAG should only have one unique InputNode."
        results: dict[str, Any] = {}
        for node in order:
            if isinstance(node, InputNode):
                results[node._stable_uuid] = node.value_of(args, kwargs)
            else:
                results[node._stable_uuid] = node._resolved(results)._call()
        return results

    def _call(self) -> Any:
        """Make the call; none of the arguments is a node any more."""
        raise NotImplementedError

    def _resolved(self, results: Mapping[str, Any]) -> Self:
        """A copy with the results of nodes in their places."""
        return self._replaced(lambda node: results[node._stable_uuid])

    def _replaced(self, replace: Callable[[DAGNode], Any]) -> Self:
        parts = self._bound_args, self._bound_kwargs, self._bound_other_args_to_resolve
        args, kwargs, others = (replaced(part, replace) for part in parts)
        copy = self._copy_impl(args, kwargs, self._bound_options, others)
        copy._stable_uuid = self._stable_uuid
        return copy

    def _copy_impl(
        self,
        new_args: Sequence[Any],
        new_kwargs: Mapping[str, Any],
        new_options: Mapping[str, Any],
        new_other_args_to_resolve: Mapping[str, Any],
    ) -> Self:
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        DAGNode.__init__(copy, new_args, new_kwargs, new_options, new_other_args_to_resolve)
        return copy

    # ------------------------------------------------------------------ transforming

    def apply_recursive(self, fn: Callable[[DAGNode], T]) -> T:
        """`fn(node)` for each node, once, from the leaves up; a node sees what came of the nodes below it."""
        results: dict[str, Any] = {}
        for node in in_order(self):
            results[node._stable_uuid] = fn(node._resolved(results))
        result: T = results[self._stable_uuid]
        return result

    def traverse_and_apply(self, fn: Callable[[DAGNode], Any]) -> None:
        """`fn(node)` for each node, once, from the leaves up."""
        for node in in_order(self):
            fn(node)

    def experimental_compile(
        self,
        _submit_timeout: float | None = None,
        _buffer_size_bytes: int | None = None,
        enable_asyncio: bool = False,
        _max_inflight_executions: int | None = None,
        _max_buffered_results: int | None = None,
        _overlap_gpu_communication: bool | None = None,
        _default_communicator: Any = "create",
    ) -> CompiledDAG:
        """A graph of calls on living actors, checked once and then run often.

        Args:
            enable_asyncio: it is run by `await dag.execute_async(...)`.
            _max_inflight_executions: executions whose results have not been fetched, at most.
            _submit_timeout, _buffer_size_bytes, _max_buffered_results, _overlap_gpu_communication,
            _default_communicator: of no effect: results travel as objects do, not through channels.
        Raises:
            ValueError, NotImplementedError: the graph is none that can be compiled, or it was compiled already.
        """
        from ray.dag.compiled_dag_node import CompiledDAG

        return CompiledDAG(self, enable_asyncio, _max_inflight_executions)

    # ------------------------------------------------------------------ being an object

    @property
    def remote(self) -> NoReturn:
        raise AttributeError(
            f".remote() cannot be used on {type(self)}. To execute the task graph for this node, use .execute()."
        )

    def __str__(self) -> str:
        from ray.dag.format_utils import format_node

        return format_node(self)

    def _body_text(self) -> str:
        """What `str(node)` shows as its body."""
        raise NotImplementedError


# ------------------------------------------------------------------ walking


def in_order(root: DAGNode) -> list[DAGNode]:
    """`root` and all nodes that it needs, each once, after those that it needs itself; what was bound first, first."""
    done: dict[str, DAGNode] = {}
    stack: list[tuple[DAGNode, Iterator[DAGNode]]] = [(root, iter(_before(root)))]  # no recursion: graphs may be deep
    while stack:
        node, children = stack[-1]
        child = next((each for each in children if each._stable_uuid not in done), None)
        if child is None:
            stack.pop()
            done[node._stable_uuid] = node
        else:
            stack.append((child, iter(_before(child))))
    return list(done.values())


def _before(node: DAGNode) -> list[DAGNode]:
    """What has to come before `node`: first the call of the same actor that was bound before it."""
    earlier = node._bound_other_args_to_resolve.get(PREV_CLASS_METHOD_CALL_KEY)
    children = node._get_all_child_nodes()
    return [earlier, *children] if isinstance(earlier, DAGNode) else children


def nodes_in(value: Any) -> Iterator[DAGNode]:
    """The nodes in a structure of lists, tuples, dicts and sets."""
    if isinstance(value, DAGNode):
        yield value
    elif isinstance(value, dict):
        for item in (*value.keys(), *value.values()):
            yield from nodes_in(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from nodes_in(item)


def replaced(value: Any, replace: Callable[[DAGNode], Any]) -> Any:
    """`value` with `replace(node)` for each node in it; what holds no node stays the same object."""
    if isinstance(value, DAGNode):
        return replace(value)
    if next(nodes_in(value), None) is None:
        return value
    if isinstance(value, dict):
        return {replaced(key, replace): replaced(item, replace) for key, item in value.items()}
    items = [replaced(item, replace) for item in value]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*items)
    return type(value)(items)
