"""Task graphs that grow while they run: futures of futures, a work list driven by ray.wait."""

import ray

ray.init(num_cpus=4)


@ray.remote
def collatz(n):
    return n // 2 if n % 2 == 0 else 3 * n + 1


@ray.remote
def steps(n):
    """Spawns the next step by itself and hands the future on, without waiting for it."""
    return 0 if n == 1 else add_one.remote(steps.remote(collatz.remote(n)))


@ray.remote
def add_one(value):
    while isinstance(value, ray.ObjectRef):
        value = ray.get(value)
    return value + 1


def resolved(value):
    while isinstance(value, ray.ObjectRef):
        value = ray.get(value)
    return value


def by_hand(n):
    count = 0
    while n != 1:
        n, count = (n // 2 if n % 2 == 0 else 3 * n + 1), count + 1
    return count


assert resolved(steps.remote(6)) == by_hand(6) == 8

# Many chains at once, each step submitted when the last one is there.
chains = {collatz.remote(n): (n, 1) for n in range(2, 12)}
lengths = {}
while chains:
    ready, _ = ray.wait(list(chains), num_returns=1)
    start, length = chains.pop(ready[0])
    value = ray.get(ready[0])
    if value == 1:
        lengths[start] = length
    else:
        chains[collatz.remote(value)] = (start, length + 1)
assert lengths == {n: by_hand(n) for n in range(2, 12)}
print("ok")
