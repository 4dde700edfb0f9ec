"""`Queue`: a queue that any number of tasks and actors share. It lives in an actor."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterable
from typing import Any

import ray


class Empty(queue.Empty):
    """There is nothing to get."""


class Full(queue.Full):
    """There is no room to put."""


class Queue:
    """First in, first out, as `queue.Queue`. The queue itself can be passed to tasks and actors.

    Args:
        maxsize: items that it holds at most; 0 or less: no limit.
        actor_options: options of the actor that holds it, as `.options()` takes them.
    """

    def __init__(self, maxsize: int = 0, actor_options: dict[str, Any] | None = None) -> None:
        self.maxsize = maxsize
        self.actor: Any = ray.remote(_QueueActor).options(**(actor_options or {})).remote(maxsize)

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        """How many items there are now."""
        count: int = ray.get(self.actor.qsize.remote())
        return count

    def qsize(self) -> int:
        return self.size()

    def empty(self) -> bool:
        is_empty: bool = ray.get(self.actor.empty.remote())
        return is_empty

    def full(self) -> bool:
        is_full: bool = ray.get(self.actor.full.remote())
        return is_full

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item at the end.

        Args:
            block: wait for room.
            timeout: seconds to wait; None: no limit.
        Raises:
            Full: there is no room, or was none in time.
            ValueError: a negative timeout.
        """
        if block:
            _check_timeout(timeout)
            ray.get(self.actor.put.remote(item, timeout))
        else:
            _unwrapped(self.actor.put_nowait.remote(item))

    async def put_async(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """As `put`, for `await`."""
        if block:
            _check_timeout(timeout)
            await self.actor.put.remote(item, timeout)
        else:
            await _unwrapped_async(self.actor.put_nowait.remote(item))

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the item at the front.

        Args:
            block: wait for one.
            timeout: seconds to wait; None: no limit.
        Raises:
            Empty: there is none, or was none in time.
            ValueError: a negative timeout.
        """
        if block:
            _check_timeout(timeout)
            return ray.get(self.actor.get.remote(timeout))
        return _unwrapped(self.actor.get_nowait.remote())

    async def get_async(self, block: bool = True, timeout: float | None = None) -> Any:
        """As `get`, for `await`."""
        if block:
            _check_timeout(timeout)
            return await self.actor.get.remote(timeout)
        return await _unwrapped_async(self.actor.get_nowait.remote())

    def put_nowait(self, item: Any) -> None:
        """As `put(item, block=False)`."""
        self.put(item, block=False)

    def get_nowait(self) -> Any:
        """As `get(block=False)`."""
        return self.get(block=False)

    def put_nowait_batch(self, items: Iterable[Any]) -> None:
        """Add all items, or none when there is no room for all (then Full is raised)."""
        if not isinstance(items, Iterable):
            raise TypeError("Argument 'items' must be an Iterable")
        ray.get(self.actor.put_nowait_batch.remote(list(items)))

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """Take `num_items` items, or none when there are fewer (then Empty is raised)."""
        if not isinstance(num_items, int):
            raise TypeError("Argument 'num_items' must be an int")
        if num_items < 0:
            raise ValueError("'num_items' must be nonnegative")
        items: list[Any] = ray.get(self.actor.get_nowait_batch.remote(num_items))
        return items

    def shutdown(self, force: bool = False, grace_period_s: int = 5) -> None:
        """End the actor; the queue cannot be used any more, here or elsewhere.

        Args:
            force: at once, not after the calls under way.
            grace_period_s: seconds that these calls have.
        """
        if self.actor is None:
            return
        if not force:
            done, _ = ray.wait([self.actor.__ray_terminate__.remote()], timeout=grace_period_s)
            force = not done
        if force:
            ray.kill(self.actor, no_restart=True)
        self.actor = None


def _check_timeout(timeout: float | None) -> None:
    if timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")


def _unwrapped(ref: Any) -> Any:
    """The value; Empty and Full as themselves, not as errors of a task."""
    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        raise _plain(error) from None


async def _unwrapped_async(ref: Any) -> Any:
    try:
        return await ref
    except ray.exceptions.RayTaskError as error:
        raise _plain(error) from None


def _plain(error: Any) -> BaseException:
    if isinstance(error, Empty):
        return Empty()
    if isinstance(error, Full):
        return Full()
    problem: BaseException = error
    return problem


class _QueueActor:
    """Holds the items; one call that waits does not hold up the others."""

    def __init__(self, maxsize: int) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue(maxsize)

    def qsize(self) -> int:
        return self._queue.qsize()

    def empty(self) -> bool:
        return self._queue.empty()

    def full(self) -> bool:
        return self._queue.full()

    async def put(self, item: Any, timeout: float | None = None) -> None:
        try:
            await asyncio.wait_for(self._queue.put(item), timeout)
        except TimeoutError:
            raise Full from None

    async def get(self, timeout: float | None = None) -> Any:
        try:
            return await asyncio.wait_for(self._queue.get(), timeout)
        except TimeoutError:
            raise Empty from None

    def put_nowait(self, item: Any) -> None:
        if self._queue.full():
            raise Full
        self._queue.put_nowait(item)

    def get_nowait(self) -> Any:
        if self._queue.empty():
            raise Empty
        return self._queue.get_nowait()

    def put_nowait_batch(self, items: list[Any]) -> None:
        size, maxsize = self.qsize(), self._queue.maxsize
        if maxsize > 0 and size + len(items) > maxsize:
            raise Full(f"Cannot add {len(items)} items to queue of size {size} and maxsize {maxsize}.")
        for item in items:
            self._queue.put_nowait(item)

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        if num_items > self.qsize():
            raise Empty(f"Cannot get {num_items} items from queue of size {self.qsize()}.")
        return [self._queue.get_nowait() for _ in range(num_items)]
