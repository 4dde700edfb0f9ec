"""Results of a pool's calls: one for a whole call (`AsyncResult`), and one by one (the iterators of `imap`)."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from multiprocessing import TimeoutError
from typing import Any, Protocol

import ray
from ray import ObjectRef

Batch = list[tuple[tuple[Any, ...], dict[str, Any]]]
Callback = Callable[[Any], None]


class PoolTaskError(Exception):
    """What a call of the user's function raised, as it travels among the results."""

    def __init__(self, underlying: BaseException) -> None:
        super().__init__(underlying)
        self.underlying = underlying


def fetch(ref: ObjectRef[Any]) -> list[Any]:
    """The results of a batch; errors of calls, and of the actor, are PoolTaskErrors or Ray's own among them."""
    try:
        results: list[Any] = ray.get(ref)
        return results
    except Exception as error:
        return [error]


class AsyncResult:
    """The result of `apply_async`, `map_async` or `starmap_async`, there or not.

    Args:
        refs: of the batches, in order.
        callback: is called with the result in a thread of its own, when all is well.
        error_callback: is called with the first error instead.
        single: the result is the one item of the one batch.
    """

    def __init__(
        self,
        refs: list[ObjectRef[Any]],
        callback: Callback | None = None,
        error_callback: Callback | None = None,
        single: bool = False,
    ) -> None:
        self._refs = refs
        self._single = single
        self._lock = threading.Lock()
        self._items: list[Any] | None = None
        if callback is not None or error_callback is not None:
            arguments = callback, error_callback
            threading.Thread(target=self._tell, args=arguments, name="ray-pool-callback", daemon=True).start()

    def wait(self, timeout: float | None = None) -> None:
        """Until all calls are done, or `timeout` seconds are over."""
        if self._refs:
            ray.wait(self._refs, num_returns=len(self._refs), timeout=None if timeout is None else max(0, timeout))

    def get(self, timeout: float | None = None) -> Any:
        """The result.

        Raises:
            multiprocessing.TimeoutError: it is not there in time.
            Exception: what the first call that failed raised.
        """
        self.wait(timeout)
        if not self.ready():
            raise TimeoutError
        error = self._error()
        if error is not None:
            raise error.underlying if isinstance(error, PoolTaskError) else error
        return self._value()

    def ready(self) -> bool:
        """Whether all calls are done."""
        if not self._refs:
            return True
        return not ray.wait(self._refs, num_returns=len(self._refs), timeout=0)[1]

    def successful(self) -> bool:
        """Whether none of the calls raised. ValueError before they are done."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._error() is None

    def _results(self) -> list[Any]:
        with self._lock:
            if self._items is None:
                self._items = [item for ref in self._refs for item in fetch(ref)]
            return self._items

    def _value(self) -> Any:
        items = self._results()
        return items[0] if self._single else items

    def _error(self) -> BaseException | None:
        return next((item for item in self._results() if _is_failure(item)), None)

    def _tell(self, callback: Callback | None, error_callback: Callback | None) -> None:
        self.wait()
        error = self._error()
        if error is not None:
            if error_callback is not None:
                error_callback(error)
        elif callback is not None:
            callback(self._value())


def _is_failure(item: Any) -> bool:
    """Not every exception is one: a function may return exceptions."""
    return isinstance(item, (PoolTaskError, ray.exceptions.RayError))


class Runner(Protocol):
    """What the iterators need of a pool."""

    @property
    def size(self) -> int: ...

    def run(self, function: Any, batch: Batch) -> ObjectRef[Any]: ...


class IMapIterator:
    """What `imap` and `imap_unordered` return: each taken batch makes room for the next, so inputs may be endless.

    An item is the result of one call; where the call raised, a PoolTaskError.
    """

    def __init__(self, pool: Runner, function: Any, iterable: Iterable[Any], chunksize: int | None = 1) -> None:
        if chunksize is not None and chunksize < 1:
            raise ValueError(f"chunksize must be at least 1, not {chunksize}.")
        self._pool = pool
        self._function = function
        self._inputs = iter(iterable)
        self._chunksize = chunksize or 1
        self._running: list[ObjectRef[Any]] = []
        self._ready: deque[Any] = deque()
        for _ in range(pool.size):
            self._start()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self, timeout: float | None = None) -> Any:
        """The next result.

        Raises:
            StopIteration: there are no more.
            multiprocessing.TimeoutError: there is none within `timeout` seconds.
        """
        deadline_at_s = None if timeout is None else time.monotonic() + timeout
        while not self._ready:  # a batch of results may be empty only in theory; then the next one is waited for
            if not self._running:
                raise StopIteration
            left_s = None if deadline_at_s is None else max(0, deadline_at_s - time.monotonic())
            done, _ = ray.wait(self._candidates(), timeout=left_s)
            if not done:
                raise TimeoutError
            self._running.remove(done[0])
            self._start()
            self._ready.extend(fetch(done[0]))
        return self._ready.popleft()

    def _candidates(self) -> list[ObjectRef[Any]]:
        """The batches whose results may come next."""
        raise NotImplementedError

    def _start(self) -> None:
        batch: Batch = [((item,), {}) for item in islice(self._inputs, self._chunksize)]
        if batch:
            self._running.append(self._pool.run(self._function, batch))


class OrderedIMapIterator(IMapIterator):
    def _candidates(self) -> list[ObjectRef[Any]]:
        return self._running[:1]


class UnorderedIMapIterator(IMapIterator):
    def _candidates(self) -> list[ObjectRef[Any]]:
        return self._running
