"""The actor that holds one shard of a `ParallelIterator`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ray.util.iter_local import LocalIterator
from ray.util.iter_metrics import SharedMetrics

Transform = Callable[[LocalIterator], LocalIterator]


class End:
    """What a worker answers when it has no more items. An exception would do, but costs more."""


class ParallelIteratorWorker:
    """Gives the items of a shard. Actors of classes that derive from it can be made into a `ParallelIterator`.

    Args:
        item_generator: the items, or a function that gives them.
        repeat: begin again when they are over, for ever.
    """

    def __init__(self, item_generator: Iterable[Any] | Callable[[], Iterable[Any]], repeat: bool) -> None:
        self._item_generator = item_generator
        self._repeat = repeat
        self._items: Iterator[Any] | None = None
        self._slices: dict[int, deque[Any]] = {}
        self._position = 0

    def _new_items(self) -> Iterable[Any]:
        if callable(self._item_generator):
            return self._item_generator()
        return self._item_generator

    def _forever(self) -> Iterator[Any]:
        yield from self._new_items()
        while self._repeat:
            yield from self._new_items()

    def par_iter_init(self, transforms: list[Transform]) -> None:
        """Begin anew, with these steps."""
        items = LocalIterator(self._forever, SharedMetrics())
        for transform in transforms:
            items = transform(items)
        self._items = iter(items)
        self._slices.clear()
        self._position = 0

    def par_iter_next(self) -> Any:
        """The next item, or an `End`."""
        assert self._items is not None, "must call par_iter_init()"
        return next(self._items, End())

    def par_iter_next_batch(self, batch_ms: int) -> list[Any]:
        """At least one item, and what comes within so many milliseconds. An `End` is the last of the last batch."""
        return _gather(self.par_iter_next, batch_ms)

    def par_iter_slice(self, step: int, start: int) -> Any:
        """The next of the items number `start`, `start + step`, ...; others are kept for who asks for them."""
        assert self._items is not None, "must call par_iter_init()"
        own = self._slices.setdefault(start, deque())
        while not own:
            item = next(self._items, _NOTHING)
            if item is _NOTHING:
                return End()
            self._slices.setdefault(self._position % step, deque()).append(item)
            self._position += 1
        return own.popleft()

    def par_iter_slice_batch(self, step: int, start: int, batch_ms: int) -> list[Any]:
        """As `par_iter_next_batch`, of a slice."""
        return _gather(lambda: self.par_iter_slice(step, start), batch_ms)


_NOTHING = object()


def _gather(get_next: Callable[[], Any], batch_ms: int) -> list[Any]:
    end_at_s = time.monotonic() + batch_ms / 1000
    batch = [get_next()]
    while not isinstance(batch[-1], End) and time.monotonic() < end_at_s:
        batch.append(get_next())
    return batch
