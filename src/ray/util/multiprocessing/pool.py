"""The pool: which actor runs which batch of calls.

Source: Ray docs, "Distributed multiprocessing.Pool".
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from multiprocessing import TimeoutError
from typing import Any

import ray
from ray import ObjectRef
from ray.util.multiprocessing.results import (
    AsyncResult,
    Batch,
    Callback,
    IMapIterator,
    OrderedIMapIterator,
    PoolTaskError,
    UnorderedIMapIterator,
)

_log = logging.getLogger(__name__)
BATCHES_PER_ACTOR = 4
"""Into which `map` cuts its input unless told otherwise: small enough that a slow batch does not hold up the end."""


class PoolActor:
    def __init__(self, initializer: Callable[..., Any] | None, initargs: Iterable[Any]) -> None:
        if initializer is not None:
            initializer(*initargs)

    def ping(self) -> None:
        """Answers once the initializer has run."""

    def run_batch(self, function: Callable[..., Any], batch: Batch) -> list[Any]:
        results: list[Any] = []
        for args, kwargs in batch:
            try:
                results.append(function(*args, **kwargs))
            except Exception as error:
                results.append(PoolTaskError(error))
        return results


class Pool:
    """As `multiprocessing.Pool`; the processes are actors, anywhere in the cluster.

    Args:
        processes: how many; default: the CPUs of the cluster.
        initializer, initargs: called first in each.
        maxtasksperchild: batches after which an actor is replaced.
        context: there for compatibility, of no effect.
        ray_address: of the cluster, where no session has been started; default: RAY_ADDRESS, else a new one.
        ray_remote_args: options of the actors, as `.options()` takes them.
    Raises:
        ValueError: no processes, or more than the cluster has CPUs.
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., Any] | None = None,
        initargs: Iterable[Any] | None = None,
        maxtasksperchild: int | None = None,
        context: Any = None,
        ray_address: str | None = None,
        ray_remote_args: dict[str, Any] | None = None,
    ) -> None:
        if context is not None:
            _log.warning("The 'context' argument is not supported using ray; it is ignored.")
        self._initializer = initializer
        self._initargs = tuple(initargs or ())
        self._maxtasksperchild = maxtasksperchild or -1
        self._closed = False
        self._next_index = 0
        self._endings: list[ObjectRef[Any]] = []
        """Of the actors that were told to end after their last batch."""
        self._actor_class: Any = ray.remote(num_cpus=0)(PoolActor)
        if ray_remote_args:
            self._actor_class = self._actor_class.options(**ray_remote_args)
        count = _process_count(processes, ray_address)
        self._actor_pool: list[tuple[Any, int]] = [(self._new_actor(), 0) for _ in range(count)]
        """Each actor and the number of batches it was given."""
        ray.get([actor.ping.remote() for actor, _ in self._actor_pool])

    # ------------------------------------------------------------------ calls

    def apply(self, func: Callable[..., Any], args: Iterable[Any] | None = None, kwargs: Any = None) -> Any:
        """`func(*args, **kwargs)` in one of the processes; its result."""
        return self.apply_async(func, args, kwargs).get()

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> AsyncResult:
        self._check_running()
        ref = self.run(func, [(tuple(args or ()), kwargs or {})])
        return AsyncResult([ref], callback, error_callback, single=True)

    def map(self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = None) -> list[Any]:
        """`func(item)` for each item; results in order.

        Args:
            chunksize: calls that are sent together; default: so many that each process gets 4 batches.
        """
        results: list[Any] = self.map_async(func, iterable, chunksize).get()
        return results

    def map_async(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> AsyncResult:
        calls: Batch = [((item,), {}) for item in iterable]
        return self._run_all(func, calls, chunksize, callback, error_callback)

    def starmap(
        self, func: Callable[..., Any], iterable: Iterable[Iterable[Any]], chunksize: int | None = None
    ) -> list[Any]:
        """`func(*item)` for each item; results in order."""
        calls: Batch = [(tuple(item), {}) for item in iterable]
        results: list[Any] = self._run_all(func, calls, chunksize).get()
        return results

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> AsyncResult:
        return self._run_all(func, [(tuple(item), {}) for item in iterable], None, callback, error_callback)

    def imap(self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = 1) -> IMapIterator:
        """As `map`, one result at a time, taking inputs as results are taken. Where a call raised, the result is a
        PoolTaskError."""
        self._check_running()
        return OrderedIMapIterator(self, func, iterable, chunksize)

    def imap_unordered(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = 1
    ) -> IMapIterator:
        """As `imap`, with results as they become ready."""
        self._check_running()
        return UnorderedIMapIterator(self, func, iterable, chunksize)

    # ------------------------------------------------------------------ ending

    def close(self) -> None:
        """Take no more calls; the processes end after those they have."""
        if not self._closed:
            self._closed = True
            self._endings.extend(actor.__ray_terminate__.remote() for actor, _ in self._actor_pool)

    def terminate(self) -> None:
        """End the processes at once."""
        self._closed = True
        for actor, _ in self._actor_pool:
            ray.kill(actor)

    def join(self) -> None:
        """Wait until the processes have ended. ValueError before `close` or `terminate`."""
        if not self._closed:
            raise ValueError("Pool is still running")
        if self._endings:
            ray.wait(self._endings, num_returns=len(self._endings))

    def __enter__(self) -> Pool:
        self._check_running()
        return self

    def __exit__(self, *exception: object) -> None:
        self.terminate()

    # ------------------------------------------------------------------ which actor runs what

    @property
    def size(self) -> int:
        return len(self._actor_pool)

    def run(self, function: Any, batch: Batch) -> ObjectRef[Any]:
        """Send a batch to the next process in turn.

        Args:
            function: the user's, or a ref to it.
        Returns:
            Ref of the list of results.
        """
        index = self._next_index % len(self._actor_pool)
        self._next_index += 1
        actor, count = self._actor_pool[index]
        if count == self._maxtasksperchild:
            self._endings.append(actor.__ray_terminate__.remote())
            actor, count = self._new_actor(), 0
        ref: ObjectRef[Any] = actor.run_batch.remote(function, batch)
        self._actor_pool[index] = actor, count + 1
        return ref

    def _run_all(
        self,
        func: Callable[..., Any],
        calls: Batch,
        chunksize: int | None,
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> AsyncResult:
        self._check_running()
        if chunksize is None:
            chunksize = max(1, -(-len(calls) // (BATCHES_PER_ACTOR * self.size)))
        if chunksize < 1:
            raise ValueError(f"chunksize must be at least 1, not {chunksize}.")
        batches = [calls[start : start + chunksize] for start in range(0, len(calls), chunksize)]
        function = ray.put(func) if len(batches) > 1 else func  # pickled once, whatever it drags along
        return AsyncResult([self.run(function, batch) for batch in batches], callback, error_callback)

    def _new_actor(self) -> Any:
        return self._actor_class.remote(self._initializer, self._initargs)

    def _check_running(self) -> None:
        if self._closed:
            raise ValueError("Pool not running")


def _process_count(processes: int | None, ray_address: str | None) -> int:
    """How many processes to start; connects to a cluster, or starts one, if need be."""
    if processes is not None and processes <= 0:
        raise ValueError("Processes in the pool must be >0.")
    if not ray.is_initialized():
        address = ray_address or os.environ.get("RAY_ADDRESS")
        if address is None or address == "local":
            ray.init(num_cpus=processes)
        else:
            ray.init(address=address)
    cpus = int(ray.cluster_resources().get("CPU", 0))
    if processes is None:
        processes = cpus
    if processes <= 0:
        raise ValueError("Processes in the pool must be >0.")
    if processes > cpus:
        raise ValueError(
            f"Tried to start a pool with {processes} processes on an existing ray cluster, "
            f"but there are only {cpus} CPUs in the ray cluster."
        )
    return processes


__all__ = ["AsyncResult", "IMapIterator", "OrderedIMapIterator", "Pool", "PoolTaskError", "TimeoutError"]
