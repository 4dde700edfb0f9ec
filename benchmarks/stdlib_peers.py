"""What the standard library's process pools do, and how fast this machine copies memory.

A script of its own that imports no Ray, so that nothing of Ray can slow the pools down. It takes the options of
src/ray/_private/ray_perf.py that benchmarks/compare.py uses, and writes the same JSON.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import multiprocessing
import multiprocessing.pool
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

Operation = Callable[[], float]

WORKERS = os.cpu_count() or 1
BATCH = 1000
COPY_BYTES = 800_000_000


def small_value() -> bytes:
    return b"ok"


@contextlib.contextmanager
def pool() -> Iterator[multiprocessing.pool.Pool]:
    with multiprocessing.Pool(WORKERS) as running:
        yield running


@contextlib.contextmanager
def executor() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(WORKERS) as running:
        yield running


@contextlib.contextmanager
def pool_sync() -> Iterator[Operation]:
    def call() -> float:
        running.apply(small_value)
        return 1

    with pool() as running:
        yield call


@contextlib.contextmanager
def pool_pipelined() -> Iterator[Operation]:
    def batch() -> float:
        for pending in [running.apply_async(small_value) for _ in range(BATCH)]:
            pending.get()
        return BATCH

    with pool() as running:
        yield batch


@contextlib.contextmanager
def executor_sync() -> Iterator[Operation]:
    def call() -> float:
        running.submit(small_value).result()
        return 1

    with executor() as running:
        yield call


@contextlib.contextmanager
def executor_pipelined() -> Iterator[Operation]:
    def batch() -> float:
        concurrent.futures.wait([running.submit(small_value) for _ in range(BATCH)])
        return BATCH

    with executor() as running:
        yield batch


@contextlib.contextmanager
def warm_memcpy() -> Iterator[Operation]:
    """Between two buffers whose pages are there already: the most that any put() could reach."""
    source, target = bytearray(b"1") * COPY_BYTES, memoryview(bytearray(COPY_BYTES))

    def copy() -> float:
        target[:] = source
        return COPY_BYTES / 1e9

    yield copy


WORKLOADS: dict[str, Callable[[], contextlib.AbstractContextManager[Operation]]] = {
    "multiprocessing.Pool calls sync": pool_sync,
    "multiprocessing.Pool calls async": pool_pipelined,
    "ProcessPoolExecutor calls sync": executor_sync,
    "ProcessPoolExecutor calls async": executor_pipelined,
    "warm memcpy gigabytes": warm_memcpy,
}


def rate(operation: Operation, duration_s: float) -> float:
    """Work per second, over no less than this time."""
    done, began = 0.0, time.perf_counter()
    while True:
        done += operation()
        elapsed_s = time.perf_counter() - began
        if elapsed_s >= duration_s:
            return done / elapsed_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="measure shorter")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="write the samples there")
    parser.add_argument("--exclude", action="append", default=[], metavar="NAME", help="leave this one out; repeatable")
    arguments = parser.parse_args()
    warmup_s, duration_s, repeats = (0.2, 0.4, 3) if arguments.quick else (0.5, 1.0, 4)
    results = []
    for name, workload in WORKLOADS.items():
        if name in arguments.exclude:
            continue
        arguments.json.write_text(json.dumps({"running": name, "results": results}))
        with workload() as operation:
            rate(operation, warmup_s)
            samples = [rate(operation, duration_s) for _ in range(repeats)]
        results.append({"name": name, "unit": "per second", "samples": samples, "error": None})
        print(f"{name} per second {statistics.median(samples):.4g} +- {statistics.pstdev(samples):.2g}", flush=True)
    arguments.json.write_text(json.dumps({"running": None, "results": results}))


if __name__ == "__main__":
    main()
