"""A cache as a named actor, shared by get_if_exists from tasks that know nothing of each other."""

import collections
import os

import ray

ray.init(num_cpus=4, namespace="cache")


@ray.remote(num_cpus=0)
class Cache:
    def __init__(self, size):
        self.size, self.items = size, collections.OrderedDict()
        self.hits = self.misses = 0

    def get(self, key):
        if key not in self.items:
            self.misses += 1
            return None
        self.hits += 1
        self.items.move_to_end(key)
        return self.items[key]

    def put(self, key, value):
        self.items[key] = value
        self.items.move_to_end(key)
        while len(self.items) > self.size:
            self.items.popitem(last=False)

    def state(self):
        return list(self.items), self.hits, self.misses, os.getpid()


def cache():
    return Cache.options(name="the cache", get_if_exists=True, lifetime="detached").remote(3)


@ray.remote
def square(n):
    shared = cache()
    found = ray.get(shared.get.remote(n))
    if found is None:
        found = n * n
        ray.get(shared.put.remote(n, found))
    return found


assert [ray.get(square.remote(n)) for n in (1, 2, 3, 1, 4, 2, 1)] == [1, 4, 9, 1, 16, 4, 1]
items, hits, misses, pid = ray.get(cache().state.remote())
assert items == [4, 2, 1], items
assert (hits, misses) == (2, 5)
assert ray.get(ray.get_actor("the cache").state.remote())[3] == pid
assert ray.util.list_named_actors() == ["the cache"]
ray.kill(cache())
print("ok")
