"""Aggregates in a tree, as the design patterns of Ray's documentation do."""

import ray

ray.init(num_cpus=4)


@ray.remote
def make(n):
    return [n] * 1000


@ray.remote
def merge(left, right):
    return [a + b for a, b in zip(left, right, strict=True)]


refs = [make.remote(n) for n in range(16)]
while len(refs) > 1:
    refs = [*refs[2:], merge.remote(*refs[:2])]
assert ray.get(refs[0]) == [sum(range(16))] * 1000


@ray.remote
def tree(low, high):
    """Nested: each task starts two and waits for them."""
    if high - low == 1:
        return low
    middle = (low + high) // 2
    return sum(ray.get([tree.remote(low, middle), tree.remote(middle, high)]))


assert ray.get(tree.remote(0, 32)) == sum(range(32))
print("ok")
