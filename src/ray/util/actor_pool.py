"""`ActorPool`: a fixed set of actors that share a stream of calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import ray
from ray import ObjectRef
from ray.actor import ActorHandle

V = TypeVar("V")
Call = Callable[[ActorHandle[Any], Any], ObjectRef[Any]]


class ActorPool:
    """Gives each call to an actor that is free; calls wait here while none is.

    Results come in the order of the calls (`get_next`) or as they are ready (`get_next_unordered`). Not for use from
    several threads.

    Args:
        actors: handles.
    """

    def __init__(self, actors: Iterable[ActorHandle[Any]]) -> None:
        self._idle = list(actors)
        self._waiting: deque[tuple[Call, Any]] = deque()
        self._running: dict[int, ObjectRef[Any]] = {}
        """By the number of the call, in the order of submission."""
        self._actor_of: dict[ObjectRef[Any], tuple[int, ActorHandle[Any]]] = {}
        self._submitted = 0
        self._next = 0
        """Number of the call whose result `get_next` gives."""

    def map(self, fn: Callable[[ActorHandle[Any], V], Any], values: Iterable[V]) -> Iterator[Any]:
        """`fn(actor, value)` for each value on some actor; results in the order of the values.

        All calls are submitted at once. What was submitted before and not fetched is forgotten.
        """
        self._forget_results()
        for value in values:
            self.submit(fn, value)
        return self._results(self.get_next)

    def map_unordered(self, fn: Callable[[ActorHandle[Any], V], Any], values: Iterable[V]) -> Iterator[Any]:
        """As `map`, with the results in the order in which they become ready."""
        self._forget_results()
        for value in values:
            self.submit(fn, value)
        return self._results(self.get_next_unordered)

    def submit(self, fn: Callable[[ActorHandle[Any], V], Any], value: V) -> None:
        """Call `fn(actor, value)`, which returns a ref, on a free actor, now or when there is one."""
        if self._idle:
            self._start(self._idle.pop(), fn, value)
        else:
            self._waiting.append((fn, value))

    def has_next(self) -> bool:
        """Whether there are results to fetch, ready or not."""
        return bool(self._actor_of)

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The result of the oldest call whose result was not fetched.

        Args:
            timeout: seconds; None: no limit.
            ignore_if_timedout: give this result up when the time is over.
        Raises:
            StopIteration: there are no results to fetch.
            TimeoutError: the time is over.
            ValueError: `get_next_unordered` has gone past the oldest call.
        """
        if not self.has_next():
            raise StopIteration("No more results to get")
        if self._next >= self._submitted:
            raise ValueError("It is not allowed to call get_next() after get_next_unordered().")
        ref = self._running[self._next]
        if timeout is not None and not ray.wait([ref], timeout=timeout)[0]:
            if not ignore_if_timedout:
                raise TimeoutError("Timed out waiting for result")
            self._take(ref)
            raise TimeoutError(f"Timed out waiting for result. The task {ref} has been ignored.")
        self._take(ref)
        return ray.get(ref)

    def get_next_unordered(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The first result that is ready.

        Args:
            timeout: seconds; None: no limit.
            ignore_if_timedout: of no effect here, where no call is the one waited for.
        Raises:
            StopIteration: there are no results to fetch.
            TimeoutError: the time is over.
        """
        if not self.has_next():
            raise StopIteration("No more results to get")
        ready, _ = ray.wait(list(self._actor_of), timeout=timeout)
        if not ready:
            raise TimeoutError("Timed out waiting for result")
        self._take(ready[0])
        return ray.get(ready[0])

    def has_free(self) -> bool:
        """Whether an actor is free and no call waits for one."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> ActorHandle[Any] | None:
        """Take a free actor out of the pool; None when none is free."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: ActorHandle[Any]) -> None:
        """Put an actor into the pool.

        Raises:
            ValueError: it is in already.
        """
        if actor in self._idle or any(busy == actor for _, busy in self._actor_of.values()):
            raise ValueError("Actor already belongs to current ActorPool")
        self._free(actor)

    def _start(self, actor: ActorHandle[Any], fn: Call, value: Any) -> None:
        try:
            ref = fn(actor, value)
            number = self._submitted
            self._actor_of[ref] = number, actor
        except BaseException:
            self._idle.append(actor)  # nothing runs on it
            raise
        self._running[number] = ref
        self._submitted += 1

    def _take(self, ref: ObjectRef[Any]) -> None:
        """Forget a call; its actor is free for the next."""
        number, actor = self._actor_of.pop(ref)
        del self._running[number]
        self._next = max(self._next, number + 1)
        self._free(actor)

    def _free(self, actor: ActorHandle[Any]) -> None:
        if self._waiting:
            self._start(actor, *self._waiting.popleft())
        else:
            self._idle.append(actor)

    def _forget_results(self) -> None:
        while self._actor_of:
            self._take(next(iter(self._actor_of)))

    def _results(self, get_next: Callable[[], Any]) -> Iterator[Any]:
        while self.has_next():
            yield get_next()
