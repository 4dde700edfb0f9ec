"""Map-reduce over the sources of the installed Python standard library.

Each task parses a batch of files with `ast` and counts what is in them; the counts are merged two by two, as tasks on
refs, so that nothing but the last result comes back here. Run: `python examples/map_reduce_stdlib.py`.
"""

from __future__ import annotations

import argparse
import ast
import sysconfig
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ray


@dataclass  # no slots: cloudpickle, which sends classes of a script by value, loses the state of slotted ones
class Census:
    """What some files hold. `unparsed` are no valid Python: the library has a few, to test its parser."""

    files: int = 0
    size_bytes: int = 0
    lines: int = 0
    unparsed: int = 0
    nodes: Counter[str] = field(default_factory=Counter)
    imports: Counter[str] = field(default_factory=Counter)

    def read(self, path: str) -> None:
        source = Path(path).read_bytes()
        self.files += 1
        self.size_bytes += len(source)
        self.lines += source.count(b"\n")
        try:
            with warnings.catch_warnings(action="ignore"):  # of old escapes in strings, which are not our concern
                tree = ast.parse(source)
        except (SyntaxError, ValueError):
            self.unparsed += 1
            return
        for node in ast.walk(tree):
            self.nodes[type(node).__name__] += 1
            if isinstance(node, ast.Import):
                self.imports.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                self.imports[node.module.partition(".")[0]] += 1

    def add(self, other: Census) -> None:
        self.files += other.files
        self.size_bytes += other.size_bytes
        self.lines += other.lines
        self.unparsed += other.unparsed
        self.nodes.update(other.nodes)
        self.imports.update(other.imports)


@ray.remote
def count(paths: list[str]) -> Census:
    census = Census()
    for path in paths:
        census.read(path)
    return census


@ray.remote
def merge(one: Census, other: Census) -> Census:
    total = Census()
    total.add(one)
    total.add(other)
    return total


def sources(limit: int | None) -> list[str]:
    """The library's own files, without the packages installed beside it."""
    root = Path(sysconfig.get_path("stdlib"))
    return [str(path) for path in sorted(root.rglob("*.py")) if "site-packages" not in path.parts][:limit]


def map_reduce(files: Sequence[str], batch: int) -> tuple[Census, int]:
    """The census of all files, and how many tasks it took."""
    level = [count.remote(list(files[at : at + batch])) for at in range(0, len(files), batch)]
    tasks = len(level)
    while len(level) > 1:
        pairs = [merge.remote(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        tasks += len(pairs)
        level = pairs + level[2 * len(pairs) :]  # an odd one out goes up by itself
    return ray.get(level[0]), tasks


def print_table(census: Census) -> None:
    functions = census.nodes["FunctionDef"] + census.nodes["AsyncFunctionDef"]
    print(f"{functions:,} functions, {census.nodes['ClassDef']:,} classes, {census.nodes.total():,} syntax nodes\n")
    print(f"{'syntax node':<16}{'count':>10}    {'imported':<16}{'count':>10}")
    for (kind, kinds), (module, modules) in zip(
        census.nodes.most_common(12), census.imports.most_common(12), strict=False
    ):
        print(f"{kind:<16}{kinds:>10,}    {module:<16}{modules:>10,}")


def main(argv: Sequence[str] | None = None) -> Census:
    parser = argparse.ArgumentParser(description="Count what is in the sources of the Python standard library.")
    parser.add_argument(
        "--address", help="of the cluster; default: RAY_ADDRESS, else one that runs here, else a new one"
    )
    parser.add_argument("--batch", type=int, default=20, help="files a task (default 20)")
    parser.add_argument("--limit", type=int, help="read only so many files (default: all)")
    arguments = parser.parse_args(argv)
    ray.init(address=arguments.address, ignore_reinit_error=True)
    files = sources(arguments.limit)
    began_s = time.perf_counter()
    census, tasks = map_reduce(files, arguments.batch)
    took_s = time.perf_counter() - began_s
    print_table(census)
    print(
        f"\n{census.files:,} files, {census.size_bytes / 1e6:.1f} MB, {census.lines:,} lines "
        f"({census.unparsed} files are no valid Python); {tasks} tasks, {took_s:.2f} s"
    )
    return census


if __name__ == "__main__":
    main()
