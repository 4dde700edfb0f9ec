"""What users hold of a streaming task: an iterator over the refs of its items.

Floor: worker. The positions are the owner's (`streams`); a generator only knows its task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from ray._core.worker.object_ref import ObjectRef

if TYPE_CHECKING:
    from ray._core.worker.streams import OpenStream, Streams

T = TypeVar("T")


class ObjectRefGenerator(Generic[T]):
    """Refs of the items that a task yields, each as soon as the item exists.

    `for ref in generator` and `async for ref in generator` both work; `ray.wait` takes generators too, which are ready
    when their next item is. Items that nobody took are freed with the generator.
    """

    __slots__ = ("__weakref__", "_generator_ref", "_stream", "_streams")

    def __init__(self, streams: Streams, stream: OpenStream, generator_ref: ObjectRef[None]) -> None:
        self._streams = streams
        self._stream = stream
        self._generator_ref = generator_ref

    def __del__(self) -> None:
        self._streams.dropped(self._stream)

    def __iter__(self) -> ObjectRefGenerator[T]:
        return self

    def __aiter__(self) -> ObjectRefGenerator[T]:
        return self

    def __next__(self) -> ObjectRef[T]:
        """The ref of the next item, once it exists. An item may be the error that ended the task."""
        ref = self._streams.next(self._stream, None)
        if ref is None:
            raise StopIteration
        return ref

    async def __anext__(self) -> ObjectRef[T]:
        return await self._next_async()

    def _next_sync(self, timeout_s: float | None = None) -> ObjectRef[T]:
        """As `next`; a nil ref when there is none within `timeout_s` seconds. Libraries call it."""
        try:
            ref = self._streams.next(self._stream, timeout_s)
        except TimeoutError:
            return ObjectRef.nil()
        if ref is None:
            raise StopIteration
        return ref

    async def _next_async(self, timeout_s: float | None = None) -> ObjectRef[T]:
        """As `anext`; a nil ref when there is none within `timeout_s` seconds. Libraries call it."""
        import asyncio  # here, since no driver needs it before: a fifth of all that a driver imports

        deadline_at_s = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        while True:
            moved = self._streams.moved(self._stream)
            try:
                ref = self._streams.next(self._stream, 0.0)
            except TimeoutError:
                pass
            else:
                if ref is None:
                    raise StopAsyncIteration
                return ref
            left_s = None if deadline_at_s is None else deadline_at_s - asyncio.get_running_loop().time()
            if left_s is not None and left_s <= 0:
                return ObjectRef.nil()
            await asyncio.wait([asyncio.wrap_future(moved)], timeout=left_s)

    def completed(self) -> ObjectRef[None]:
        """A ref that is ready (None) when the task has ended; its value is an error only if the system failed."""
        return self._generator_ref

    def next_ready(self) -> bool:
        """Whether `next` would give a ref at once."""
        return self._stream.positions.is_ready

    def is_finished(self) -> bool:
        """Whether every item has been taken and the task has ended."""
        return self._stream.positions.is_exhausted

    def send(self, value: Any) -> NoReturn:
        raise NotImplementedError("`gen.send` is not supported: the generator runs in another process.")

    def throw(self, *error: Any) -> NoReturn:
        raise NotImplementedError("`gen.throw` is not supported: the generator runs in another process.")

    def close(self) -> NoReturn:
        raise NotImplementedError("`gen.close` is not supported; drop the generator, or use ray.cancel(gen).")

    async def asend(self, value: Any) -> NoReturn:
        raise NotImplementedError("`gen.asend` is not supported: the generator runs in another process.")

    async def athrow(self, *error: Any) -> NoReturn:
        raise NotImplementedError("`gen.athrow` is not supported: the generator runs in another process.")

    async def aclose(self) -> NoReturn:
        raise NotImplementedError("`gen.aclose` is not supported; drop the generator, or use ray.cancel(gen).")

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "You cannot return or pass a generator to other task. Serializing a ObjectRefGenerator is not allowed. "
            "Pass the refs that it gives, or an actor that holds it."
        )


class DynamicObjectRefGenerator:
    """What `ray.get` gives for num_returns="dynamic": the refs of all items, each taken once."""

    def __init__(self, refs: Any) -> None:
        self._refs: deque[ObjectRef[Any]] = deque(refs)

    def __iter__(self) -> Iterator[ObjectRef[Any]]:
        while self._refs:
            yield self._refs.popleft()

    def __len__(self) -> int:
        return len(self._refs)


for _public in (ObjectRefGenerator, DynamicObjectRefGenerator):
    _public.__module__ = "ray"
