"""Run seeds: `python -m simulation 7` (from tests/) tells the history of one, `--count 1000` runs many in parallel."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

from simulation.loop import Violation
from simulation.mutations import MUTATIONS, applied
from simulation.scenario import Scenario

REPLAY = "cd tests && PYTHONPATH=../src python -m simulation {}"


def _run(seed: int) -> tuple[int, str, Counter[str]]:
    """The seed, what was wrong (or ""), and what it has counted."""
    counts: Counter[str] = Counter()
    error = ""
    try:
        scenario = Scenario(seed)
        scenario.run()
    except Exception as problem:
        error = f"{type(problem).__name__}: {problem}"
    else:
        counts.update(f"with {kind}" for kind in scenario.faults.kinds)
        counts.update(steps=scenario.loop.steps, tasks=scenario.cluster.ledger.tasks_run)
        counts.update(faults=len(scenario.faults.plan), virtual_s=int(scenario.loop.now_s))
        counts.update(constructions=sum(scenario.cluster.ledger.constructions.values()))
    return seed, error, counts


def run_many(seeds: range, jobs: int) -> bool:
    """Tell what they did, and how to replay those that failed. True: none did."""
    start_s, failed, counts = time.monotonic(), [], Counter[str]()
    with multiprocessing.Pool(jobs) as pool:
        for done, (seed, error, counted) in enumerate(pool.imap_unordered(_run, seeds, chunksize=4), 1):
            counts.update(counted)
            if error:
                failed.append(seed)
                print(f"seed {seed}: {error[:600]}\n  replay: {REPLAY.format(seed)}", flush=True)
            if done % 1000 == 0:
                print(f"{done} seeds, {len(failed)} failed, {time.monotonic() - start_s:.0f} s", flush=True)
    print(f"\nSeeds {seeds.start} to {seeds.stop - 1}: {len(seeds) - len(failed)} passed, {len(failed)} failed.")
    print(f"{counts.pop('virtual_s', 0) / 3600:.1f} hours of virtual time in {time.monotonic() - start_s:.0f} s.")
    for name, count in sorted(counts.items()):
        print(f"{name:24} {count:12,}")
    return not failed


def tell(seed: int, path: Path | None) -> bool:
    """Run one and write its history."""
    story: list[str] = []
    scenario = Scenario(seed, story)
    try:
        scenario.run()
        outcome = f"passed; history {scenario.loop.history_hash}"
    except Violation as violation:
        outcome = f"FAILED: {violation}"
    text = "\n".join([*story, f"Faults: {scenario.faults.plan}", f"Seed {seed} {outcome}"])
    if path is not None:
        path.write_text(text + "\n")
    else:
        print(text)
    return "FAILED" not in outcome


def notice(name: str, seeds: range) -> bool:
    """Whether some seed notices this mistake in the product; the first is told."""
    for seed in seeds:
        with applied(name):
            _, error, _ = _run(seed)
        if error:
            print(f"{name} is noticed by seed {seed}: {error[:300]}")
            return True
    print(f"{name} is not noticed by any seed from {seeds.start} to {seeds.stop - 1}.")
    return False


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="the only one, or the first; drawn if not given")
    parser.add_argument("--count", type=int, default=0, help="how many seeds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many processes")
    parser.add_argument("--story", type=Path, help="file for the history of one seed")
    parser.add_argument("--mutation", choices=MUTATIONS, help="with this mistake in the product, until a seed notices")
    args = parser.parse_args()
    if args.mutation:
        return 0 if notice(args.mutation, range(args.seed or 0, (args.seed or 0) + (args.count or 1000))) else 1
    first = random.SystemRandom().randrange(1 << 40) if args.seed is None else args.seed
    if args.count:
        return 0 if run_many(range(first, first + args.count), args.jobs) else 1
    return 0 if tell(first, args.story) else 1


if __name__ == "__main__":
    sys.exit(main())
