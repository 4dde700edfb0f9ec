"""Parallel iterators (deprecated): items in shards, each held by an actor, with steps that run where the items are.

Source: Ray docs 1.x, "Distributed iterators". New programs have generators and `ray.util.map_unordered`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ray
from ray.util.iter_local import LocalIterator
from ray.util.iter_metrics import MetricsContext, SharedMetrics
from ray.util.iter_worker import End, ParallelIteratorWorker, Transform


@dataclasses.dataclass(frozen=True)
class _ActorSet:
    """Actors that apply the same steps."""

    actors: list[Any]
    transforms: list[Transform]

    def started(self) -> list[Any]:
        """The actors, told to begin anew."""
        ray.get([actor.par_iter_init.remote(self.transforms) for actor in self.actors])
        return self.actors

    def with_transform(self, transform: Transform) -> _ActorSet:
        return _ActorSet(self.actors, [*self.transforms, transform])


def from_items(items: list[Any], num_shards: int = 2, repeat: bool = False) -> ParallelIterator:
    """The items, dealt out to the shards in turn."""
    shards = [items[number::num_shards] for number in range(num_shards)]
    kind = type(items[0]).__name__ if items else "None"
    name = f"from_items[{kind}, {len(items)}, shards={num_shards}{_repeated(repeat)}]"
    return from_iterators(shards, repeat=repeat, name=name)


def from_range(n: int, num_shards: int = 2, repeat: bool = False) -> ParallelIterator:
    """0 to n - 1, each shard a contiguous part of it."""
    size = n // num_shards
    shards = [
        range(number * size, n if number == num_shards - 1 else (number + 1) * size) for number in range(num_shards)
    ]
    name = f"from_range[{n}, shards={num_shards}{_repeated(repeat)}]"
    return from_iterators(shards, repeat=repeat, name=name)


def from_iterators(
    generators: Iterable[Iterable[Any] | Callable[[], Iterable[Any]]], repeat: bool = False, name: str | None = None
) -> ParallelIterator:
    """A shard for each iterable, or function that gives one."""
    worker = ray.remote(ParallelIteratorWorker)
    actors = [worker.remote(generator, repeat) for generator in generators]
    return from_actors(actors, name=name or f"from_iterators[shards={len(actors)}{_repeated(repeat)}]")


def from_actors(actors: list[Any], name: str | None = None) -> ParallelIterator:
    """A shard for each actor; their classes derive from `ParallelIteratorWorker`."""
    return ParallelIterator([_ActorSet(actors, [])], name or f"from_actors[shards={len(actors)}]", [])


def _repeated(repeat: bool) -> str:
    return ", repeat=True" if repeat else ""


class ParallelIterator:
    """Steps run in the actors of the shards, once somebody gathers the items.

    Args:
        actor_sets: the shards.
        name: for `repr`.
        parent_iterators: kept alive, since the shards draw from them.
    """

    def __init__(self, actor_sets: list[_ActorSet], name: str, parent_iterators: list[ParallelIterator]) -> None:
        self.actor_sets = actor_sets
        self.name = name
        self.parent_iterators = parent_iterators

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(
            "You must use it.gather_sync() or it.gather_async() to iterate over the results of a ParallelIterator."
        )

    def __repr__(self) -> str:
        return f"ParallelIterator[{self.name}]"

    def _with(self, transform: Transform, name: str) -> ParallelIterator:
        sets = [actor_set.with_transform(transform) for actor_set in self.actor_sets]
        return ParallelIterator(sets, f"{self.name}.{name}", self.parent_iterators)

    # ------------------------------------------------------------------ steps in the shards

    def transform(self, fn: Callable[[Iterable[Any]], Iterable[Any]]) -> ParallelIterator:
        return self._with(lambda items: items.transform(fn), "transform()")

    def for_each(
        self, fn: Callable[[Any], Any], max_concurrency: int = 1, resources: dict[str, Any] | None = None
    ) -> ParallelIterator:
        """As `LocalIterator.for_each`, in each shard."""
        return self._with(lambda items: items.for_each(fn, max_concurrency, resources), "for_each()")

    def filter(self, fn: Callable[[Any], bool]) -> ParallelIterator:
        return self._with(lambda items: items.filter(fn), "filter()")

    def batch(self, n: int) -> ParallelIterator:
        return self._with(lambda items: items.batch(n), f"batch({n})")

    def flatten(self) -> ParallelIterator:
        return self._with(lambda items: items.flatten(), "flatten()")

    def combine(self, fn: Callable[[Any], list[Any]]) -> ParallelIterator:
        return self._with(lambda items: items.combine(fn), "combine()")

    def local_shuffle(self, shuffle_buffer_size: int, seed: int | None = None) -> ParallelIterator:
        """In random order, within a window of so many items of a shard."""
        name = f"local_shuffle(shuffle_buffer_size={shuffle_buffer_size}, seed={seed})"
        return self._with(lambda items: items.shuffle(shuffle_buffer_size, seed), name)

    # ------------------------------------------------------------------ other shards

    def repartition(self, num_partitions: int, batch_ms: int = 0) -> ParallelIterator:
        """So many shards, each of which draws every `num_partitions`-th item from all of these.

        Args:
            batch_ms: how long a shard gathers items before it passes them on.
        """
        sets = self.actor_sets

        def items_of(number: int) -> Callable[[], Iterator[Any]]:
            actors = [actor for actor_set in sets for actor in actor_set.actors]

            def items() -> Iterator[Any]:
                running = {
                    actor.par_iter_slice_batch.remote(num_partitions, number, batch_ms): actor for actor in actors
                }
                while running:
                    (ready,), _ = ray.wait(list(running))
                    actor, batch = running.pop(ready), ray.get(ready)
                    is_last = isinstance(batch[-1], End)
                    if not is_last:
                        running[actor.par_iter_slice_batch.remote(num_partitions, number, batch_ms)] = actor
                    yield from batch[:-1] if is_last else batch

            return items

        for actor_set in sets:
            actor_set.started()
        name = f"{self.name}.repartition[num_partitions={num_partitions}]"
        found = from_iterators([items_of(number) for number in range(num_partitions)], name=name)
        found.parent_iterators.append(self)
        return found

    def union(self, other: ParallelIterator) -> ParallelIterator:
        """The shards of both."""
        if not isinstance(other, ParallelIterator):
            raise TypeError(f"other must be of type ParallelIterator, got {type(other)}")
        sets = [*self.actor_sets, *other.actor_sets]
        parents = [*self.parent_iterators, *other.parent_iterators]
        return ParallelIterator(sets, f"ParallelUnion[{self}, {other}]", parents)

    def select_shards(self, shards_to_keep: list[int]) -> ParallelIterator:
        """The shards with these numbers."""
        pairs = self._numbered()
        assert all(0 <= number < len(pairs) for number in shards_to_keep), "Invalid actor index"
        sets = [_ActorSet([pairs[number][0]], pairs[number][1].transforms) for number in sorted(set(shards_to_keep))]
        return ParallelIterator(sets, f"{self}.select_shards({len(shards_to_keep)} total)", self.parent_iterators)

    def num_shards(self) -> int:
        return sum(len(actor_set.actors) for actor_set in self.actor_sets)

    def shards(self) -> list[LocalIterator]:
        """An iterator for each shard."""
        return [self.get_shard(number) for number in range(self.num_shards())]

    def get_shard(self, shard_index: int, batch_ms: int = 0, num_async: int = 1) -> LocalIterator:
        """The items of one shard. ValueError when there is none of this number."""
        pairs = self._numbered()
        if not 0 <= shard_index < len(pairs):
            raise ValueError("Shard index out of range", shard_index, len(pairs))
        actor, actor_set = pairs[shard_index]
        metrics = SharedMetrics()

        def items() -> Iterator[Any]:
            _ActorSet([actor], actor_set.transforms).started()
            yield from _from_each([actor], batch_ms, num_async, metrics)

        return LocalIterator(items, metrics, name=f"{self.name}.shard[{shard_index}]")

    def _numbered(self) -> list[tuple[Any, _ActorSet]]:
        return [(actor, actor_set) for actor_set in self.actor_sets for actor in actor_set.actors]

    # ------------------------------------------------------------------ gathering

    def gather_sync(self) -> LocalIterator:
        """The items of all shards, one of each in turn."""
        found = self.batch_across_shards().flatten()
        found.name = f"{self}.gather_sync()"
        return found

    def batch_across_shards(self) -> LocalIterator:
        """Lists of one item of each shard that has any left."""
        metrics = SharedMetrics()

        def items() -> Iterator[list[Any]]:
            actors = [actor for actor_set in self.actor_sets for actor in actor_set.started()]
            asked = [actor.par_iter_next.remote() for actor in actors]
            while actors:
                results = ray.get(asked)
                actors = [actor for actor, item in zip(actors, results, strict=True) if not isinstance(item, End)]
                asked = [actor.par_iter_next.remote() for actor in actors]
                batch = [item for item in results if not isinstance(item, End)]
                if batch:
                    yield batch

        return LocalIterator(items, metrics, name=f"{self}.batch_across_shards()")

    def gather_async(self, batch_ms: int = 0, num_async: int = 1) -> LocalIterator:
        """The items of all shards as they are ready.

        Args:
            batch_ms: how long a shard gathers items before it passes them on.
            num_async: requests under way to each shard.
        """
        if num_async < 1:
            raise ValueError("queue depth must be positive")
        if batch_ms < 0:
            raise ValueError("batch time must be positive")
        metrics = SharedMetrics()

        def items() -> Iterator[Any]:
            actors = [actor for actor_set in self.actor_sets for actor in actor_set.started()]
            yield from _from_each(actors, batch_ms, num_async, metrics)

        return LocalIterator(items, metrics, name=f"{self}.gather_async()")

    def take(self, n: int) -> list[Any]:
        return self.gather_sync().take(n)

    def show(self, n: int = 20) -> None:
        self.gather_sync().show(n)


def _from_each(actors: list[Any], batch_ms: int, num_async: int, metrics: SharedMetrics) -> Iterator[Any]:
    """Items as they are ready; the metrics name the actor that an item came from."""
    running: dict[Any, Any] = {}
    for _ in range(num_async):
        running.update({actor.par_iter_next_batch.remote(batch_ms): actor for actor in actors})
    while running:
        (ready,), _ = ray.wait(list(running))
        actor, batch = running.pop(ready), ray.get(ready)
        is_last = isinstance(batch[-1], End)
        if not is_last:
            running[actor.par_iter_next_batch.remote(batch_ms)] = actor
        for item in batch[:-1] if is_last else batch:
            metrics.get().current_actor = actor
            yield item


__all__ = [
    "LocalIterator",
    "MetricsContext",
    "ParallelIterator",
    "ParallelIteratorWorker",
    "SharedMetrics",
    "from_actors",
    "from_items",
    "from_iterators",
    "from_range",
]
