"""Patterns and anti-patterns of the documentation: limits on pending tasks, batching, nested parallelism, refs."""

import numpy as np

import ray

ray.init(num_cpus=4)


@ray.remote
def work(n):
    return n * 2


# Never more than 10 pending.
pending, results = [], []
for number in range(100):
    if len(pending) >= 10:
        done, pending = ray.wait(pending, num_returns=1)
        results += ray.get(done)
    pending.append(work.remote(number))
results += ray.get(pending)
assert sorted(results) == [2 * n for n in range(100)]

# One large object for all.
weights = ray.put(np.arange(500_000))


@ray.remote
def use(array, number):
    return int(array[number])


assert ray.get([use.remote(weights, n) for n in range(20)]) == list(range(20))


# Nested parallelism: sort.
@ray.remote
def quicksort(values):
    if len(values) <= 200:
        return sorted(values)
    pivot = values[0]
    lesser = quicksort.remote([v for v in values[1:] if v < pivot])
    greater = quicksort.remote([v for v in values[1:] if v >= pivot])
    return [*ray.get(lesser), pivot, *ray.get(greater)]


values = np.random.default_rng(1).integers(0, 10_000, 2_000).tolist()
assert ray.get(quicksort.remote(values)) == sorted(values)


# Closures and globals are captured when the function is first called.
OFFSET = 1


@ray.remote
def shifted(n):
    return n + OFFSET


assert ray.get(shifted.remote(1)) == 2
OFFSET = 100
assert ray.get(shifted.remote(1)) == 2


# Pass refs inside objects, to return early.
@ray.remote
def launch(n):
    return [work.remote(each) for each in range(n)]


assert ray.get(ray.get(launch.remote(5))) == [0, 2, 4, 6, 8]
print("ok")
