"""Results as they come: `as_completed` and `map_unordered`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import ray

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.remote_function import RemoteFunction

DEFAULT_CHUNK_SIZE = 10
DEFAULT_BACKPRESSURE_SIZE = 100


def as_completed(
    refs: Sequence[ObjectRef[Any]],
    *,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    yield_obj_refs: bool = False,
    **kwargs: Any,
) -> Iterator[Any]:
    """The values of `refs` in about the order in which they become ready.

    Args:
        chunk_size: results waited for at once; more means fewer calls, and a later first result.
        yield_obj_refs: give the refs instead of their values.
        kwargs: `timeout` and `fetch_local`, as for `ray.wait`.
    Raises:
        ValueError: chunk_size below 1.
        Exception: what a task raised, when its turn comes.
    """
    if chunk_size < 1:
        raise ValueError(f"`chunk_size` must be >= 1, not {chunk_size}.")
    waiting = list(refs)
    while waiting:
        ready, waiting = _next_ready(waiting, chunk_size, kwargs)
        yield from ready if yield_obj_refs else ray.get(ready)


def map_unordered(
    fn: RemoteFunction,
    items: Iterable[Any],
    *,
    backpressure_size: int | None = DEFAULT_BACKPRESSURE_SIZE,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    yield_obj_refs: bool = False,
    **kwargs: Any,
) -> Iterator[Any]:
    """`fn.remote(item)` for each item; the results in about the order in which they become ready.

    Args:
        backpressure_size: tasks under way at most; None: no limit.
        chunk_size, yield_obj_refs, kwargs: as for `as_completed`.
    Raises:
        ValueError: chunk_size below 1.
    """
    if chunk_size < 1:
        raise ValueError(f"`chunk_size` must be >= 1, not {chunk_size}.")
    waiting: list[ObjectRef[Any]] = []
    for item in items:
        waiting.append(fn.remote(item))
        if backpressure_size is not None and len(waiting) >= backpressure_size:
            ready, waiting = _next_ready(waiting, chunk_size, kwargs)
            yield from ready if yield_obj_refs else ray.get(ready)
    yield from as_completed(waiting, chunk_size=chunk_size, yield_obj_refs=yield_obj_refs, **kwargs)


def _next_ready(
    refs: list[ObjectRef[Any]], count: int, options: dict[str, Any]
) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]:
    return ray.wait(refs, num_returns=min(count, len(refs)), **options)
