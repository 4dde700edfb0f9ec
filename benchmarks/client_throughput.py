"""Put and get of a large array through Ray Client, on any Ray by its public API.

    python benchmarks/client_throughput.py ray://127.0.0.1:10001 [GiB]

Prints seconds and GB/s of each, best of three. The cluster's object store must hold the array twice.
"""

from __future__ import annotations

import sys
import time

import numpy as np

import ray

ROUNDS = 3


def main(address: str, gibibytes: float) -> None:
    array = np.random.default_rng(0).integers(0, 255, int(gibibytes * 2**30), dtype=np.uint8)
    ray.init(address, log_to_driver=False)
    best = {"put": float("inf"), "get": float("inf")}
    for _ in range(ROUNDS):
        begun_s = time.perf_counter()
        ref = ray.put(array)
        put_s = time.perf_counter()
        value = ray.get(ref)
        got_s = time.perf_counter()
        assert value.nbytes == array.nbytes and value[-1] == array[-1] and value[0] == array[0]
        best["put"] = min(best["put"], put_s - begun_s)
        best["get"] = min(best["get"], got_s - put_s)
        del ref, value
    for name, seconds in best.items():
        print(f"{name}: {seconds:.2f} s, {array.nbytes / seconds / 1e9:.2f} GB/s")
    ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
