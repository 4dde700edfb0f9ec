"""ActorPool, multiprocessing.Pool and as_completed in one program."""

import ray
from ray.util import ActorPool
from ray.util.multiprocessing import Pool

ray.init(num_cpus=4)


@ray.remote(num_cpus=0)
class Doubler:
    def double(self, n):
        return 2 * n


def square(n):
    return n * n


pool = ActorPool([Doubler.remote() for _ in range(2)])
assert list(pool.map(lambda actor, n: actor.double.remote(n), range(10))) == [2 * n for n in range(10)]
assert sorted(pool.map_unordered(lambda actor, n: actor.double.remote(n), range(10))) == [2 * n for n in range(10)]
pool.submit(lambda actor, n: actor.double.remote(n), 21)
assert pool.has_next()
assert pool.get_next() == 42
assert not pool.has_next()
with Pool(2) as processes:
    assert processes.map(square, range(10)) == [n * n for n in range(10)]
    assert processes.apply(square, (3,)) == 9
    assert processes.starmap(pow, [(2, 3), (3, 2)]) == [8, 9]
    assert sorted(processes.imap_unordered(square, range(5))) == [0, 1, 4, 9, 16]
    result = processes.map_async(square, [1, 2])
    assert result.get(timeout=30) == [1, 4]
assert sorted(ray.util.as_completed([ray.remote(square).remote(n) for n in range(5)])) == [0, 1, 4, 9, 16]
assert sorted(ray.util.map_unordered(ray.remote(square), range(4))) == [0, 1, 4, 9]
print("ok")
