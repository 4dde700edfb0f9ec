"""Results of compiled graphs."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import GetTimeoutError, RayChannelError, RayChannelTimeoutError

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.dag.compiled_dag_node import CompiledDAG


class Execution:
    """One run of a graph, as long as some of its results were neither fetched nor given up.

    It succeeds or fails as a whole: an error in one output is the error of all.
    """

    def __init__(self, dag: CompiledDAG, index: int, refs: list[ObjectRef[Any]]) -> None:
        self.dag = dag
        self.index = index
        self.refs = refs
        self._to_fetch = len(refs)

    def __repr__(self) -> str:
        return f"<Execution {self.index}, {self._to_fetch} of {len(self.refs)} results to fetch>"

    def one_less(self) -> None:
        self._to_fetch -= 1
        if self._to_fetch == 0:
            self.dag.executions.discard(self)


class _Result:
    """One output of one execution; its value can be had once."""

    def __init__(self, execution: Execution, channel_index: int | None) -> None:
        self._execution = execution
        self._is_fetched = False
        self._channel_index = channel_index

    def __repr__(self) -> str:
        index = self._execution.index
        dag_id = self._execution.dag.get_id()
        name = type(self).__name__
        return f"{name}({dag_id}, execution_index={index}, channel_index={self._channel_index})"

    def __reduce__(self) -> Any:
        raise ValueError(f"{type(self).__name__} cannot be pickled. Fetch the value, and pass that.")

    def __del__(self) -> None:
        if not self._is_fetched:
            self._execution.one_less()

    def _check(self, how: str) -> None:
        if self._execution.dag.is_teardown:
            raise RayChannelError("Channel closed.")
        if self._is_fetched:
            raise ValueError(f"{how} can only be called once on a {type(self).__name__}, and it was already called.")

    def _fetched(self) -> None:
        self._is_fetched = True
        self._execution.one_less()

    def _of(self, values: list[Any]) -> Any:
        return values[self._channel_index or 0]


class CompiledDAGRef(_Result):
    """What `dag.execute(...)` returns. `ray.get(ref)` or `ref.get()`."""

    def get(self, timeout: float | None = None) -> Any:
        """The value.

        Args:
            timeout: seconds; default: `DAGContext.get_timeout`; -1: no limit.
        Raises:
            ValueError: it was fetched before.
            RayChannelTimeoutError: it is not there in time; it may be asked for again.
            RayChannelError: the graph was torn down.
            Exception: what a method raised.
        """
        self._check("ray.get()")
        if timeout is None:
            timeout = self._execution.dag.get_timeout_s
        try:
            values = ray.get(self._execution.refs, timeout=None if timeout < 0 else timeout)
        except GetTimeoutError as error:
            raise RayChannelTimeoutError(
                f"No result within {timeout} s. If the execution is expected to take long, pass a longer timeout or "
                "set RAY_CGRAPH_get_timeout."
            ) from error
        except Exception:
            self._fetched()
            raise
        self._fetched()
        return self._of(values)


class CompiledDAGFuture(_Result):
    """What `await dag.execute_async(...)` returns; to be awaited itself, once."""

    def __await__(self) -> Generator[Any, None, Any]:
        self._check("await")
        self._fetched()
        return self._value().__await__()

    async def _value(self) -> Any:
        return self._of(await asyncio.gather(*self._execution.refs))
