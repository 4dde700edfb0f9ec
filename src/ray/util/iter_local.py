"""`LocalIterator`: a chain of steps over items, in one process."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ray
from ray.util.iter_metrics import MetricsContext, SharedMetrics

Step = Callable[[Iterable[Any]], Iterable[Any]]
_here = threading.local()


class LocalIterator:
    """Items of `base_iterator()`, through the steps. Nothing is computed before the first item is asked for.

    Args:
        base_iterator: gives the items.
        shared_metrics: what the steps note.
        local_transforms: the steps.
        timeout: there for compatibility, of no effect.
        name: for `repr`.
    """

    def __init__(
        self,
        base_iterator: Callable[[], Iterable[Any]],
        shared_metrics: SharedMetrics,
        local_transforms: list[Step] | None = None,
        timeout: int | None = None,
        name: str | None = None,
    ) -> None:
        self.base_iterator = base_iterator
        self.built_iterator: Iterator[Any] | None = None
        self.local_transforms = local_transforms or []
        self.shared_metrics = shared_metrics
        self.timeout = timeout
        self.name = name or "unknown"

    @staticmethod
    def get_metrics() -> MetricsContext:
        """The context of the iterator whose step runs in this thread."""
        metrics: MetricsContext | None = getattr(_here, "metrics", None)
        if metrics is None:
            raise ValueError("Cannot access context outside an iterator.")
        return metrics

    def __repr__(self) -> str:
        return f"LocalIterator[{self.name}]"

    def __iter__(self) -> Iterator[Any]:
        self._build()
        return self

    def __next__(self) -> Any:
        items = self._build()
        outer = getattr(_here, "metrics", None)
        _here.metrics = self.shared_metrics.get()
        try:
            return next(items)
        finally:
            _here.metrics = outer

    def _build(self) -> Iterator[Any]:
        if self.built_iterator is None:
            items = iter(self.base_iterator())
            for step in self.local_transforms:
                items = iter(step(items))
            self.built_iterator = items
        return self.built_iterator

    def _with(self, step: Step, name: str) -> LocalIterator:
        steps = [*self.local_transforms, step]
        return LocalIterator(self.base_iterator, self.shared_metrics, steps, name=f"{self.name}.{name}")

    # ------------------------------------------------------------------ steps

    def transform(self, fn: Step) -> LocalIterator:
        """`fn` gets the iterator of the items and gives another one."""
        return self._with(fn, "transform()")

    def for_each(
        self, fn: Callable[[Any], Any], max_concurrency: int = 1, resources: dict[str, Any] | None = None
    ) -> LocalIterator:
        """`fn(item)` for each item.

        Args:
            max_concurrency: above 1, so many tasks at a time compute it, and the results come as they are ready.
            resources: options of these tasks.
        """
        if max_concurrency == 1:
            return self._with(lambda items: map(fn, items), "for_each()")
        if max_concurrency < 1:
            raise ValueError(f"max_concurrency must be at least 1, not {max_concurrency}.")
        task = ray.remote(lambda item: fn(item)).options(**(resources or {}))
        return self._with(lambda items: _in_tasks(task, items, max_concurrency), "for_each()")

    def filter(self, fn: Callable[[Any], bool]) -> LocalIterator:
        return self._with(lambda items: filter(fn, items), "filter()")

    def batch(self, n: int) -> LocalIterator:
        """Lists of `n` items; the last one may be shorter."""
        return self._with(lambda items: _batches(items, n), f"batch({n})")

    def flatten(self) -> LocalIterator:
        """The items of items."""
        return self._with(lambda items: (part for item in items for part in item), "flatten()")

    def combine(self, fn: Callable[[Any], list[Any]]) -> LocalIterator:
        """The items of the lists `fn(item)`."""
        step = self.for_each(fn).flatten()
        step.name = f"{self.name}.combine()"
        return step

    def shuffle(self, shuffle_buffer_size: int, seed: int | None = None) -> LocalIterator:
        """In random order, within a window of so many items."""
        name = f"shuffle(shuffle_buffer_size={shuffle_buffer_size}, seed={seed})"
        return self._with(lambda items: _shuffled(items, shuffle_buffer_size, random.Random(seed)), name)

    def zip_with_source_actor(self) -> LocalIterator:
        """Pairs (actor, item) of items that were gathered. ValueError where the actor is not known."""

        def step(items: Iterable[Any]) -> Iterator[Any]:
            for item in items:
                actor = self.get_metrics().current_actor
                if actor is None:
                    raise ValueError("Could not identify source actor of item")
                yield actor, item

        return self._with(step, "zip_with_source_actor()")

    # ------------------------------------------------------------------ several iterators

    def duplicate(self, n: int) -> list[LocalIterator]:
        """`n` iterators over the same items. What one has had and another has not is kept."""
        if n < 2:
            raise ValueError(f"Number of copies must be >= 2, not {n}.")
        queues: list[deque[Any]] = [deque() for _ in range(n)]

        def items_of(number: int) -> Iterator[Any]:
            while True:
                if not queues[number]:
                    try:
                        item = next(self)
                    except StopIteration:
                        return
                    for queue in queues:
                        queue.append(item)
                yield queues[number].popleft()

        def make(number: int) -> LocalIterator:
            name = f"{self.name}.duplicate[{number}]"
            return LocalIterator(lambda: items_of(number), SharedMetrics(), name=name)

        return [make(number) for number in range(n)]

    def union(
        self, *others: LocalIterator, deterministic: bool = False, round_robin_weights: list[float] | None = None
    ) -> LocalIterator:
        """The items of all, in turns.

        Args:
            deterministic: of no effect: it always is.
            round_robin_weights: items that each gives in a turn; "*": all that it has.
        """
        parents = [self, *others]
        weights: list[Any] = list(round_robin_weights or [1] * len(parents))
        if len(weights) != len(parents):
            raise ValueError("Length of round robin weights must equal number of iterators total.")

        def items() -> Iterator[Any]:
            active = [(parent, weight) for parent, weight in zip(parents, weights, strict=True)]
            while active:
                for entry in list(active):
                    parent, weight = entry
                    taken = 0
                    while weight == "*" or taken < weight:
                        try:
                            item = next(parent)
                        except StopIteration:
                            active.remove(entry)
                            break
                        taken += 1
                        yield item

        metrics = SharedMetrics(parents=[parent.shared_metrics for parent in parents])
        return LocalIterator(items, metrics, name=f"LocalUnion[{self}, {', '.join(map(str, others))}]")

    # ------------------------------------------------------------------ looking

    def take(self, n: int) -> list[Any]:
        """The next `n` items, or those that are left."""
        found = []
        for _ in range(n):
            try:
                found.append(next(self))
            except StopIteration:
                break
        return found

    def show(self, n: int = 20) -> None:
        """Print the next `n` items."""
        for item in self.take(n):
            print(item)


def _batches(items: Iterable[Any], n: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) >= n:
            yield batch
            batch = []
    if batch:
        yield batch


def _shuffled(items: Iterable[Any], size: int, rng: random.Random) -> Iterator[Any]:
    buffer: list[Any] = []
    for item in items:
        buffer.append(item)
        if len(buffer) >= size:
            yield buffer.pop(rng.randrange(len(buffer)))
    while buffer:
        yield buffer.pop(rng.randrange(len(buffer)))


def _in_tasks(task: Any, items: Iterable[Any], limit: int) -> Iterator[Any]:
    running: list[Any] = []
    for item in items:
        if len(running) >= limit:
            ready, running = ray.wait(running)
            yield from ray.get(ready)
        running.append(task.remote(item))
    while running:
        ready, running = ray.wait(running)
        yield from ray.get(ready)
