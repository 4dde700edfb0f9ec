"""Calls a second of the core: tasks, puts, gets, start-up. Public API only, so the same file runs on any Ray.

`python benchmarks/core_calls.py` prints one JSON object: medians of `--rounds` (default 5).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import ray


def per_second(count: int, work: Callable[[], Any], rounds: int) -> float:
    """Median over rounds of `count` divided by the seconds that `work` takes."""
    rates = []
    for _ in range(rounds):
        start_s = time.perf_counter()
        work()
        rates.append(count / (time.perf_counter() - start_s))
    return statistics.median(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description="Calls a second of tasks and objects.")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    start_s = time.perf_counter()
    ray.init(num_cpus=2, object_store_memory=2 << 30)
    results = {"ray.init seconds": time.perf_counter() - start_s}

    @ray.remote
    def small() -> bytes:
        return b"ok"

    ray.get([small.remote() for _ in range(1000)])
    results["single client tasks sync"] = per_second(500, lambda: [ray.get(small.remote()) for _ in range(500)], rounds)
    batch: Callable[[], Any] = lambda: ray.get([small.remote() for _ in range(3000)])  # noqa: E731
    results["single client tasks async"] = per_second(3000, batch, rounds)
    results["single client put calls"] = per_second(1000, lambda: [ray.put(0) for _ in range(1000)], rounds)
    ref = ray.put(0)
    results["single client get calls"] = per_second(3000, lambda: [ray.get(ref) for _ in range(3000)], rounds)
    array = np.zeros(100 << 20, np.uint8)
    gigabytes = 10 * array.nbytes / 1e9
    results["single client put gigabytes"] = (
        per_second(1, lambda: [ray.put(array) for _ in range(10)], rounds) * gigabytes
    )
    refs = [ray.put(number) for number in range(10_000)]
    holder = ray.put(refs)
    results["get of an object holding 10k refs"] = per_second(1, lambda: ray.get(holder), rounds)
    print(json.dumps({name: round(value, 3) for name, value in results.items()}))
    ray.shutdown()


if __name__ == "__main__":
    main()
