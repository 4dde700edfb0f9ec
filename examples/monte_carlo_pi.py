"""Pi by throwing darts: a pool of actors, each given the next batch as soon as it is free.

Every batch has a seed of its own, so the result is the same whatever the number of actors and whoever took which
batch. Run: `python examples/monte_carlo_pi.py --samples 20000000`.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence

import ray


@ray.remote
class Thrower:
    """Throws darts at the unit square, and remembers how many."""

    def __init__(self) -> None:
        self.thrown = 0

    def throw(self, seed: int, darts: int) -> int:
        """How many of the darts hit the quarter of a circle."""
        draw = random.Random(seed).random
        self.thrown += darts
        return sum(math.hypot(draw(), draw()) <= 1.0 for _ in range(darts))

    def total(self) -> int:
        return self.thrown


def batches(samples: int, size: int) -> Iterator[tuple[int, int]]:
    """Seed and number of darts of each batch; the last may be smaller."""
    for seed, at in enumerate(range(0, samples, size)):
        yield seed, min(size, samples - at)


def show_progress(done: int, samples: int, hits: int) -> None:
    """Redraw one line; says nothing when nobody looks at a terminal."""
    if sys.stderr.isatty():
        width = 40 * done // samples
        bar = "#" * width + "." * (40 - width)
        print(f"\r[{bar}] {done / samples:4.0%}  pi = {4 * hits / done:.6f}", end="", file=sys.stderr, flush=True)


def throw_all(pool: Sequence[ray.actor.ActorHandle], samples: int, batch: int) -> int:
    """Hits of all samples: one batch per actor under way at any time."""
    waiting = batches(samples, batch)
    idle, busy = list(pool), {}
    done = hits = 0
    while True:
        while idle and (following := next(waiting, None)):
            thrower = idle.pop()
            busy[thrower.throw.remote(*following)] = (thrower, following[1])
        if not busy:
            return hits
        (ready,), _ = ray.wait(list(busy))
        thrower, darts = busy.pop(ready)
        idle.append(thrower)
        hits += ray.get(ready)
        done += darts
        show_progress(done, samples, hits)


def main(argv: Sequence[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description="Estimate pi with a pool of actors.")
    parser.add_argument(
        "--address", help="of the cluster; default: RAY_ADDRESS, else one that runs here, else a new one"
    )
    parser.add_argument("--samples", type=int, default=10_000_000, help="darts in all (default 10,000,000)")
    parser.add_argument("--batch", type=int, default=200_000, help="darts per call (default 200,000)")
    parser.add_argument("--actors", type=int, help="size of the pool (default: one per CPU of the cluster)")
    arguments = parser.parse_args(argv)
    ray.init(address=arguments.address, ignore_reinit_error=True)
    size = arguments.actors or int(ray.cluster_resources()["CPU"])
    pool = [Thrower.remote() for _ in range(size)]
    began_s = time.perf_counter()
    hits = throw_all(pool, arguments.samples, arguments.batch)
    took_s = time.perf_counter() - began_s
    pi = 4 * hits / arguments.samples
    shares = ", ".join(f"{total:,}" for total in ray.get([thrower.total.remote() for thrower in pool]))
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(f"pi = {pi:.6f}, wrong by {abs(pi - math.pi):.6f}")
    print(f"{arguments.samples:,} darts in {took_s:.2f} s, by {size} actors: {shares}")
    return pi


if __name__ == "__main__":
    main()
