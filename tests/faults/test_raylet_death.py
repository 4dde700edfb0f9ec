"""The driver's own raylet is killed: tasks fail with a word of it, values stay, and a new session works."""

import pytest

import ray
from ray._private.worker import global_worker


def test_a_driver_whose_raylet_dies_hears_of_it_and_can_begin_again():
    ray.init(num_cpus=1, object_store_memory=100_000_000)

    @ray.remote(max_retries=0)
    def forever():
        __import__("time").sleep(1000)

    @ray.remote
    def one():
        return 1

    assert ray.get(one.remote()) == 1
    big = ray.put(b"x" * 1_000_000)
    running = forever.remote()
    assert ray.wait([running], timeout=0.2)[0] == []
    global_worker.node.kill_raylet()
    with pytest.raises(ray.exceptions.RayError):
        ray.get(running, timeout=20)
    with pytest.raises(ray.exceptions.LocalRayletDiedError):
        ray.get(one.remote(), timeout=20)
    assert len(ray.get(big)) == 1_000_000
    ray.shutdown()
    ray.init(num_cpus=1, object_store_memory=100_000_000)
    assert ray.get(one.remote()) == 1
    ray.shutdown()
