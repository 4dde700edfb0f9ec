"""Map-reduce over the sources of the installed Python standard library.

Each task parses a batch of files with `ast` and counts the kinds of syntax nodes; counts are merged two by two, as
tasks on refs, so that nothing but the last result comes back here. Run: `python examples/map_reduce_stdlib.py`.
"""

from __future__ import annotations

import argparse
import ast
import sysconfig
import time
from collections import Counter
from pathlib import Path

import ray


@ray.remote
def count_nodes(paths: list[str]) -> tuple[Counter[str], int]:
    """Node kinds and bytes of some files; a file that is no valid Python (a test of the parser, say) counts 0 nodes."""
    counts: Counter[str] = Counter()
    size = 0
    for path in paths:
        source = Path(path).read_bytes()
        size += len(source)
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        counts.update(type(node).__name__ for node in ast.walk(tree))
    return counts, size


@ray.remote
def merge(a: tuple[Counter[str], int], b: tuple[Counter[str], int]) -> tuple[Counter[str], int]:
    return a[0] + b[0], a[1] + b[1]


def main(argv: list[str] | None = None) -> Counter[str]:
    parser = argparse.ArgumentParser(description="Count the syntax nodes of the Python standard library.")
    parser.add_argument("--batch", type=int, default=20, help="files a task (default 20)")
    parser.add_argument("--limit", type=int, default=None, help="read only so many files (default: all)")
    args = parser.parse_args(argv)
    files = sorted(str(path) for path in Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    files = [path for path in files if "site-packages" not in path][: args.limit]
    start_s = time.perf_counter()
    level = [count_nodes.remote(files[at : at + args.batch]) for at in range(0, len(files), args.batch)]
    tasks = len(level)
    while len(level) > 1:
        pairs = [merge.remote(*level[at : at + 2]) for at in range(0, len(level) - 1, 2)]
        tasks += len(pairs)
        level = pairs + level[len(pairs) * 2 :]
    counts, size = ray.get(level[0])
    took_s = time.perf_counter() - start_s
    for kind, count in counts.most_common(12):
        print(f"{kind:<16}{count:>12,}")
    print(f"{len(files):,} files, {size / 1e6:.1f} MB, {tasks} tasks, {took_s:.2f} s")
    return counts


if __name__ == "__main__":
    main()
