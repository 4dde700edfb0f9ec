"""Compiled graphs: checked once, then run often, over living actors.

The results of one method travel to the next actor directly, by ref; the driver fetches only what comes out. Unlike
Ray's, there are no channels reserved beforehand, so a step costs what an actor call costs, and settings of channels
are of no effect.
"""

from __future__ import annotations

import itertools
import threading
import uuid
from typing import Any

import ray
from ray.dag.class_node import ClassMethodNode, ClassNode
from ray.dag.context import DAGContext
from ray.dag.dag_node import DAGNode, in_order, nodes_in
from ray.dag.function_node import FunctionNode
from ray.dag.input_node import InputAttributeNode, InputNode
from ray.dag.output_node import MultiOutputNode
from ray.exceptions import RayCgraphCapacityExceeded, RayChannelError
from ray.experimental.compiled_dag_ref import CompiledDAGFuture, CompiledDAGRef, Execution


class CompiledDAG:
    """Made by `node.experimental_compile()`.

    Raises:
        ValueError, NotImplementedError: the graph is none that can be compiled, or it was compiled already.
    """

    def __init__(self, root: DAGNode, enable_asyncio: bool, max_inflight_executions: int | None) -> None:
        if root.__dict__.get("_is_compiled"):
            raise ValueError(
                "It is not allowed to call `experimental_compile` on the same DAG object multiple times no matter "
                "whether `teardown` is called or not. Please reuse the existing compiled DAG or create a new one."
            )
        order = in_order(root)
        for node in order:
            _check(node, root)
        context = DAGContext.get_current()
        self.get_timeout_s = context.get_timeout
        self.is_teardown = False
        self.executions: set[Execution] = set()
        """Those with results to fetch."""
        self._id = uuid.uuid4().hex
        self._enable_asyncio = enable_asyncio
        self._max_inflight = max_inflight_executions or context.max_inflight_executions
        self._indexes = itertools.count()
        self._lock = threading.Lock()
        self._calls = [node for node in order if isinstance(node, ClassMethodNode)]
        self._is_list = isinstance(root, MultiOutputNode)
        self._outputs: list[Any] = list(root.get_args()) if self._is_list else [root]
        self._input = _Input(order)
        root.__dict__["_is_compiled"] = True

    def __repr__(self) -> str:
        state = "torn down" if self.is_teardown else f"{len(self.executions)} executions"
        return f"<CompiledDAG {self._id[:8]} of {len(self._calls)} calls, {state}>"

    def get_id(self) -> str:
        return self._id

    def execute(self, *args: Any, **kwargs: Any) -> CompiledDAGRef | list[CompiledDAGRef]:
        """Run the graph.

        Returns:
            What `ray.get` takes; for a MultiOutputNode, a list of these.
        Raises:
            ValueError: other arguments than the graph's InputNode is used for.
            RayCgraphCapacityExceeded: too many results have not been fetched.
            RayChannelError: the graph was torn down.
        """
        if self._enable_asyncio:
            raise ValueError("Use execute_async if enable_asyncio=True")
        execution = self._run(args, kwargs)
        if not self._is_list:
            return CompiledDAGRef(execution, None)
        return [CompiledDAGRef(execution, index) for index in range(len(self._outputs))]

    async def execute_async(self, *args: Any, **kwargs: Any) -> CompiledDAGFuture | list[CompiledDAGFuture]:
        """As `execute`, for graphs compiled with enable_asyncio; the results are to be awaited."""
        if not self._enable_asyncio:
            raise ValueError("Use execute if enable_asyncio=False")
        execution = self._run(args, kwargs)
        if not self._is_list:
            return CompiledDAGFuture(execution, None)
        return [CompiledDAGFuture(execution, index) for index in range(len(self._outputs))]

    def teardown(self, kill_actors: bool = False) -> None:
        """The graph cannot be run any more; results not yet fetched are lost.

        Args:
            kill_actors: end its actors too.
        """
        self.is_teardown = True
        if kill_actors:
            for actor in {node._get_actor_handle() for node in self._calls}:
                ray.kill(actor)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Execution:
        if self.is_teardown:
            raise RayChannelError("Channel closed.")
        self._input.check(args, kwargs)
        with self._lock:
            if len(self.executions) >= self._max_inflight:
                raise RayCgraphCapacityExceeded(
                    f"The compiled graph can't have more than {self._max_inflight} in-flight executions, and you "
                    f"currently have {len(self.executions)} in-flight executions. Retrieve an output using ray.get "
                    "before submitting more requests or increase `_max_inflight_executions`: "
                    "`dag.experimental_compile(_max_inflight_executions=...)`"
                )
            results = self._input.values(args, kwargs)
            for node in self._calls:
                results[node._stable_uuid] = node._resolved(results)._call()
            refs = [
                results[node._stable_uuid] if isinstance(node, DAGNode) else ray.put(node) for node in self._outputs
            ]
            execution = Execution(self, next(self._indexes), refs)
            self.executions.add(execution)
        return execution


class _Input:
    """Which arguments the graph takes, and what its input nodes stand for in an execution."""

    def __init__(self, order: list[DAGNode]) -> None:
        inputs = [node for node in order if isinstance(node, InputNode)]
        if not inputs:
            raise ValueError("No InputNode found in the DAG.")
        if len(inputs) > 1:
            raise ValueError("More than one InputNode found in the DAG.")
        self._node = inputs[0]
        self._attributes = [node for node in order if isinstance(node, InputAttributeNode)]
        indexes = [node.key for node in self._attributes if isinstance(node.key, int)]
        self._names = [node.key for node in self._attributes if isinstance(node.key, str)]
        self._count = max(indexes, default=-1) + 1 if self._attributes else 1
        uses = [arg for node in order if not isinstance(node, InputAttributeNode) for arg in node.get_args()]
        self._uses = {node._stable_uuid: sum(arg is node for arg in uses) for node in (self._node, *self._attributes)}

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if len(args) != self._count:
            raise ValueError(
                f"dag.execute() or dag.execute_async() must be called with {self._count} positional args, "
                f"got {len(args)}"
            )
        for name in self._names:
            if name not in kwargs:
                raise ValueError(f"dag.execute() or dag.execute_async() must be called with kwarg `{name}`")

    def values(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """By the uuid of each input node. A value used more than once is put, to be pickled once."""
        found: dict[str, Any] = {}
        if not self._attributes:
            found[self._node._stable_uuid] = args[0]
        else:
            found[self._node._stable_uuid] = None
            for node in self._attributes:
                found[node._stable_uuid] = args[node.key] if isinstance(node.key, int) else kwargs[node.key]
        for key, value in found.items():
            if self._uses[key] > 1 and not isinstance(value, ray.ObjectRef):
                found[key] = ray.put(value)
        return found


def _check(node: DAGNode, root: DAGNode) -> None:
    """Whether `node` may be in a compiled graph. Raises ValueError or NotImplementedError."""
    if isinstance(node, FunctionNode):
        raise NotImplementedError("Compiled DAGs currently only support actor method nodes")
    if isinstance(node, ClassNode):
        raise ValueError("Compiled DAGs can only bind methods to an actor that is already created with Actor.remote()")
    if isinstance(node, (InputNode, InputAttributeNode)):
        if node is root:
            raise ValueError("A compiled DAG needs at least one call; it cannot consist of its input alone.")
        return
    if isinstance(node, MultiOutputNode) and node is not root:
        raise ValueError("MultiOutputNode may only be the last node of a DAG.")
    if any(isinstance(value, DAGNode) for value in node.get_kwargs().values()):
        raise ValueError("Compiled DAG currently does not support binding to other DAG nodes as kwargs")
    if len(node._get_toplevel_child_nodes()) != len(node._get_all_child_nodes()):
        raise ValueError(f"Found a DAGNode inside of an argument of {node}. Bind nodes to arguments themselves.")
    if isinstance(node, ClassMethodNode) and next(nodes_in(node.get_args()), None) is None:
        raise ValueError(
            f"No InputNode found in the DAG: when traversing upwards, no upstream node was found for {node}"
        )
