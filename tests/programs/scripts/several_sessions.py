"""One process, several clusters after each other; module-level tasks and classes serve all of them."""

import ray


@ray.remote
def double(n):
    return 2 * n


@ray.remote
class Counter:
    def __init__(self):
        self.n = 0

    def add(self):
        self.n += 1
        return self.n


for session in range(3):
    with ray.init(num_cpus=1 + session):
        assert ray.cluster_resources()["CPU"] == 1 + session
        assert ray.get([double.remote(n) for n in range(5)]) == [0, 2, 4, 6, 8]
        counter = Counter.remote()
        assert ray.get([counter.add.remote() for _ in range(3)]) == [1, 2, 3]
    assert not ray.is_initialized()
try:
    ray.get(double.remote(1))  # starts a cluster by itself
    assert ray.is_initialized()
finally:
    ray.shutdown()
print("ok")
