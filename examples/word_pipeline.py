"""A pipeline of `ray.util`'s parts: producers read text into a bounded queue, consumers count its words.

Producers are tasks, consumers actors; the queue between them holds a few pages only, so that neither side runs away
from the other. Tasks merge the counts, and a metric tells how many words each consumer has seen.
Run: `python examples/word_pipeline.py --consumers 3`.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
from collections import Counter
from collections.abc import Iterator, Sequence

import ray
from ray.util import ActorPool
from ray.util.metrics import Counter as Metric
from ray.util.queue import Queue

MODULES = ["argparse", "asyncio", "collections", "csv", "decimal", "difflib", "enum", "functools", "inspect", "logging"]
LINES_PER_PAGE = 200
END = None
"""What a consumer gets when there is no more to come."""


def pages_of(module: str) -> Iterator[str]:
    """The source of a module, in pieces."""
    lines = inspect.getsource(importlib.import_module(module)).splitlines()
    for start in range(0, len(lines), LINES_PER_PAGE):
        yield "\n".join(lines[start : start + LINES_PER_PAGE])


@ray.remote
def produce(queue: Queue, modules: Sequence[str]) -> int:
    """Put the pages of these modules; waits while the queue is full. How many there were."""
    count = 0
    for module in modules:
        for page in pages_of(module):
            queue.put(page)
            count += 1
    return count


@ray.remote(num_cpus=0)
class Consumer:
    """Takes pages until the end."""

    def __init__(self, name: str) -> None:
        self.words = Metric("words_seen", description="Words that a consumer has counted.", tag_keys=("consumer",))
        self.words.set_default_tags({"consumer": name})

    def consume(self, queue: Queue) -> Counter[str]:
        counts: Counter[str] = Counter()
        while (page := queue.get()) is not END:
            found = [word.lower() for word in page.split() if word.isalpha()]
            counts.update(found)
            if found:
                self.words.inc(len(found))
        return counts


@ray.remote
def merged(left: Counter[str], right: Counter[str]) -> Counter[str]:
    return left + right


def count_words(modules: Sequence[str], producers: int, consumers: int) -> tuple[int, Counter[str]]:
    """How many pages there were, and how often each word was in them."""
    queue = Queue(maxsize=8)
    pool = ActorPool([Consumer.remote(f"consumer {number}") for number in range(consumers)])
    pages = [produce.remote(queue, modules[number::producers]) for number in range(producers)]
    results = pool.map_unordered(lambda actor, _: actor.consume.remote(queue), range(consumers))
    total = sum(ray.get(pages))
    for _ in range(consumers):
        queue.put(END)
    first, *others = results
    sums = ray.put(first)
    for counts in others:
        sums = merged.remote(sums, counts)
    words = ray.get(sums)
    queue.shutdown()
    return total, words


def main(argv: Sequence[str] | None = None) -> tuple[int, Counter[str]]:
    parser = argparse.ArgumentParser(description="Count words through a queue.")
    parser.add_argument(
        "--address", help="of the cluster; default: RAY_ADDRESS, else one that runs here, else a new one"
    )
    parser.add_argument("--producers", type=int, default=2, help="tasks that read (default 2)")
    parser.add_argument("--consumers", type=int, default=2, help="actors that count (default 2)")
    arguments = parser.parse_args(argv)
    ray.init(address=arguments.address, ignore_reinit_error=True)
    pages, words = count_words(MODULES, arguments.producers, arguments.consumers)
    print(f"{words.total():,} words on {pages} pages; the most frequent:")
    for word, count in words.most_common(5):
        print(f"  {word:<10} {count:>6,}")
    return pages, words


if __name__ == "__main__":
    main()
