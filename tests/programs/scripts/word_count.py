"""Map-reduce over text: maps with several returns, one for each reducer."""

import collections

import ray

ray.init(num_cpus=4)
TEXTS = ["the quick brown fox", "jumps over the lazy dog", "the dog barks", "quick quick fox"]
REDUCERS = 3


@ray.remote(num_returns=REDUCERS)
def count(text):
    counts = [collections.Counter() for _ in range(REDUCERS)]
    for word in text.split():
        counts[sum(word.encode()) % REDUCERS][word] += 1
    return counts


@ray.remote
def reduce(*counters):
    return sum(counters, collections.Counter())


mapped = [count.remote(text) for text in TEXTS]
reduced = [reduce.remote(*parts) for parts in zip(*mapped, strict=True)]
total = sum(ray.get(reduced), collections.Counter())
assert total == collections.Counter(" ".join(TEXTS).split())
assert total.most_common(2) == [("the", 3), ("quick", 3)] or total["the"] == total["quick"] == 3
print("ok")
