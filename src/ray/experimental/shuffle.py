"""An all-to-all exchange written with tasks alone: readers split their input, writers join a part of each.

`python -m ray.experimental.shuffle --num-partitions=50 --partition-size=200e6` moves generated rows, and says how fast.
Source: Ray's example of this name.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

import ray
from ray import ObjectRef
from ray.cluster_utils import Cluster

Rows = npt.NDArray[np.int64]
BYTES_PER_ROW = 16


def round_robin_partitioner(input_stream: Iterable[Any], num_partitions: int) -> Iterator[tuple[int, Any]]:
    """Deal the items out to partitions 0, 1, …, and from 0 again."""
    for count, item in enumerate(input_stream):
        yield count % num_partitions, item


class ObjectStoreWriter:
    """Of what one reader has for one writer: puts each item at once, so a reader holds no more than one."""

    def __init__(self) -> None:
        self.results: list[Any] = []

    def add(self, item: Any) -> None:
        self.results.append(ray.put(item))

    def finish(self) -> list[Any]:
        return self.results


class ObjectStoreWriterNonStreaming(ObjectStoreWriter):
    """Keeps the items until the reader ends."""

    def add(self, item: Any) -> None:
        self.results.append(item)


class _Progress:
    """Counts readers and writers that have ended."""

    def __init__(self) -> None:
        self.num_map = self.num_reduce = 0
        self._changed = asyncio.Event()

    async def inc(self) -> None:
        self.num_map += 1
        self._tell()

    async def inc2(self) -> None:
        self.num_reduce += 1
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def get_progress(self) -> tuple[int, int]:
        return self.num_map, self.num_reduce

    async def get_next_progress(self, num_map: int, num_reduce: int) -> tuple[int, int]:
        """The counts, as soon as they are others than these."""
        while (self.num_map, self.num_reduce) == (num_map, num_reduce):
            await self._changed.wait()
        return self.num_map, self.num_reduce


_StatusTracker = ray.remote(num_cpus=0)(_Progress)


def render_progress_bar(
    tracker: Any, input_num_partitions: int, output_num_partitions: int, results: Iterable[ObjectRef[Any]] = ()
) -> None:
    """Show how many readers and writers have ended, until all have.

    Args:
        results: of the writers. One that has failed, of which nothing more would be told, is raised.
    """
    from tqdm import tqdm

    pending = list(results)
    with (
        tqdm(total=input_num_partitions, desc="Map Progress.", position=0) as maps,
        tqdm(total=output_num_partitions, desc="Reduce Progress.", position=1) as reduces,
    ):
        while maps.n < input_num_partitions or reduces.n < output_num_partitions:
            news, ready = tracker.get_next_progress.remote(maps.n, reduces.n), list[ObjectRef[Any]]()
            while news not in ready:
                ready, _ = ray.wait([news, *pending])
                ray.get(ready)
                pending = [ref for ref in pending if ref not in ready]
            num_map, num_reduce = ray.get(news)
            maps.update(num_map - maps.n)
            reduces.update(num_reduce - reduces.n)


def simple_shuffle(
    *,
    input_reader: Callable[[int], Iterable[Any]],
    input_num_partitions: int,
    output_num_partitions: int,
    output_writer: Callable[[int, Iterable[Any]], Any],
    partitioner: Callable[[Iterable[Any], int], Iterable[tuple[int, Any]]] = round_robin_partitioner,
    object_store_writer: type[ObjectStoreWriter] = ObjectStoreWriter,
    tracker: Any = None,
    streaming: bool = True,
    use_wait: bool = False,
) -> list[Any]:
    """Run `input_reader(i)` in as many tasks as there are inputs, and `output_writer(i, items)` in as many as outputs.

    Args:
        partitioner: gives (partition, item) for each item of an input.
        tracker: a `_StatusTracker`, to be told of each task that ends.
        streaming: readers put each item by itself; writers fetch them one by one.
        use_wait: writers take what is there first, instead of in order.
    Returns:
        What the writers returned.
    """

    @ray.remote(num_returns=output_num_partitions)
    def shuffle_map(i: int) -> Any:
        writers = [object_store_writer() for _ in range(output_num_partitions)]
        for partition, item in partitioner(input_reader(i), output_num_partitions):
            writers[partition].add(item)
        if tracker is not None:
            tracker.inc.remote()
        parts = [writer.finish() for writer in writers]
        return parts if output_num_partitions > 1 else parts[0]

    @ray.remote
    def shuffle_reduce(i: int, *parts: Any) -> Any:
        result = output_writer(i, _items(parts, streaming, use_wait))
        if tracker is not None:
            tracker.inc2.remote()
        return result

    mapped = [shuffle_map.remote(i) for i in range(input_num_partitions)]
    rows = mapped if output_num_partitions > 1 else [[ref] for ref in mapped]
    reduced = [shuffle_reduce.remote(j, *(row[j] for row in rows)) for j in range(output_num_partitions)]
    if tracker is not None:
        render_progress_bar(tracker, input_num_partitions, output_num_partitions, reduced)
    return ray.get(reduced)


def _items(parts: Iterable[list[Any]], streaming: bool, use_wait: bool) -> Iterator[Any]:
    """What all readers have for one writer."""
    items = [item for part in parts for item in part]
    if not streaming:
        yield from items
    elif not use_wait:
        for ref in items:
            yield ray.get(ref)
    else:
        pending: list[ObjectRef[Any]] = items
        while pending:
            ready, pending = ray.wait(pending)
            yield from ray.get(ready)


def build_cluster(num_nodes: int, num_cpus: int, object_store_memory: int) -> Cluster:
    """Nodes on this machine that share `num_cpus` and the memory; this process is connected to them."""
    cluster = Cluster()
    for _ in range(num_nodes):
        cluster.add_node(num_cpus=num_cpus // num_nodes, object_store_memory=object_store_memory // num_nodes)
    cluster.wait_for_nodes()
    cluster.connect()
    return cluster


def run(
    ray_address: str | None = None,
    object_store_memory: float = 1e9,
    num_partitions: int = 5,
    partition_size: float = 200e6,
    num_nodes: int | None = None,
    num_cpus: int = 8,
    no_streaming: bool = False,
    use_wait: bool = False,
    tracker: Any = None,
) -> None:
    """Shuffle `num_partitions` inputs of `partition_size` bytes, and print how fast that was.

    Args:
        ray_address: of the cluster to use; default: one that is started for this.
        num_nodes: start so many nodes on this machine.
        no_streaming: readers keep what they read until they end.
    Raises:
        RuntimeError: not all rows have arrived.
    """
    cluster = None
    if num_nodes:
        cluster = build_cluster(num_nodes, num_cpus, int(object_store_memory))
    elif ray_address:
        ray.init(address=ray_address)
    elif not ray.is_initialized():
        ray.init(num_cpus=num_cpus, object_store_memory=int(object_store_memory))
    rows_per_item = max(int(partition_size // num_partitions // BYTES_PER_ROW), 1)

    def read(_: int) -> Iterator[Rows]:
        for _item in range(num_partitions):
            yield np.ones((rows_per_item, 2), dtype=np.int64)

    def count_rows(_: int, items: Iterable[Rows]) -> int:
        return sum(len(item) for item in items)

    start_s = time.monotonic()
    counts = simple_shuffle(
        input_reader=read,
        input_num_partitions=num_partitions,
        output_num_partitions=num_partitions,
        output_writer=count_rows,
        object_store_writer=ObjectStoreWriterNonStreaming if no_streaming else ObjectStoreWriter,
        tracker=tracker,
        streaming=not no_streaming,
        use_wait=use_wait,
    )
    took_s = time.monotonic() - start_s
    wanted = rows_per_item * num_partitions * num_partitions
    if sum(counts) != wanted:
        raise RuntimeError(f"Of {wanted} rows {sum(counts)} have arrived.")
    print(f"Shuffled {wanted * BYTES_PER_ROW} bytes in {took_s:.2f} seconds.")
    if cluster is not None:
        cluster.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description="Shuffle generated rows.")
    parser.add_argument("--ray-address", help="of the cluster to use; default: start one")
    parser.add_argument("--object-store-memory", type=float, default=1e9, help="bytes, of all nodes that are started")
    parser.add_argument("--num-partitions", type=int, default=5)
    parser.add_argument("--partition-size", type=float, default=200e6, help="bytes")
    parser.add_argument("--num-nodes", type=int, help="start so many on this machine")
    parser.add_argument("--num-cpus", type=int, default=8, help="of all nodes that are started")
    parser.add_argument("--no-streaming", action="store_true", help="readers keep what they read until they end")
    parser.add_argument("--use-wait", action="store_true", help="writers take what is there first")
    parser.add_argument("--use-tracker", action="store_true", help="show the progress")
    args = vars(parser.parse_args())
    if args.pop("use_tracker"):
        if args["ray_address"] is None and args["num_nodes"] is None:
            ray.init(num_cpus=args["num_cpus"], object_store_memory=int(args["object_store_memory"]))
        args["tracker"] = _StatusTracker.remote()
    run(**args)


if __name__ == "__main__":
    main()
