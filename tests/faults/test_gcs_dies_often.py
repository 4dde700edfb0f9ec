"""kill -9 of the GCS every two seconds while a random workload runs: no result is lost, wrong or doubled.

A few seconds in CI; `make faults SECONDS=600` goes on for longer, with another seed each time.
"""

import os
import random
import sys
import time

import pytest
from gcs_killer import KEEPING, Killer

import ray
from ray.cluster_utils import Cluster
from ray.experimental import internal_kv
from ray.util import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy as Inside

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file
SECONDS = float(os.environ.get("FAULTS_SECONDS", "4"))
SEED = int(os.environ.get("FAULTS_SEED", "0" if "FAULTS_SECONDS" in os.environ else "1")) or random.randrange(1, 2**32)
PATIENCE_S = 60


@ray.remote(num_cpus=0.5)
def square(number):
    return number * number


@ray.remote(num_cpus=0.1)
class Counter:
    def __init__(self):
        self.value = 0

    def add(self, number):
        self.value += number
        return self.value


class Workload:
    """One step of anything, checked at once or later."""

    def __init__(self, seed):
        self._random = random.Random(seed)
        self._counters = [(Counter.remote(), 0) for _ in range(2)]
        self._names = 0
        self._keys = {}

    def step(self):
        self._random.choice([self.tasks, self.calls, self.named, self.key_values, self.group, self.actors])()

    def tasks(self):
        numbers = [self._random.randrange(1000) for _ in range(self._random.choice((1, 10, 200)))]
        assert ray.get([square.remote(number) for number in numbers], timeout=PATIENCE_S) == [n * n for n in numbers]

    def calls(self):
        at = self._random.randrange(len(self._counters))
        counter, before = self._counters[at]
        numbers = [self._random.randrange(10) for _ in range(20)]
        sums = [before + sum(numbers[: n + 1]) for n in range(len(numbers))]
        assert ray.get([counter.add.remote(number) for number in numbers], timeout=PATIENCE_S) == sums
        self._counters[at] = (counter, sums[-1])

    def named(self):
        self._names += 1
        name = f"counter-{self._names}"
        made = Counter.options(name=name, lifetime=self._random.choice((None, "detached"))).remote()
        assert ray.get(ray.get_actor(name).add.remote(3), timeout=PATIENCE_S) == 3
        assert ray.get(made.add.remote(4), timeout=PATIENCE_S) == 7
        ray.kill(made)

    def key_values(self):
        key, value = self._random.choice((b"a", b"b", b"c")), self._random.randbytes(20)
        internal_kv._internal_kv_put(key, value, overwrite=True)
        self._keys[key] = value
        for key, value in self._keys.items():
            assert internal_kv._internal_kv_get(key) == value

    def group(self):
        group = placement_group([{"CPU": 0.2}, {"CPU": 0.2}])
        assert ray.get(group.ready(), timeout=PATIENCE_S) is not None
        inside = square.options(num_cpus=0.2, scheduling_strategy=Inside(group))
        assert ray.get([inside.remote(n) for n in range(4)], timeout=PATIENCE_S) == [0, 1, 4, 9]
        remove_placement_group(group)

    def actors(self):
        made = [Counter.remote() for _ in range(3)]
        assert ray.get([counter.add.remote(1) for counter in made], timeout=PATIENCE_S) == [1, 1, 1]

    def end(self):
        for counter, value in self._counters:
            assert ray.get(counter.add.remote(0), timeout=PATIENCE_S) == value


@pytest.mark.timeout(SECONDS + 120)
def test_a_workload_does_not_notice(capsys):
    arguments = {"num_cpus": 2, "object_store_memory": 128 << 20, "_system_config": KEEPING}
    cluster = Cluster(initialize_head=True, connect=True, head_node_args=arguments)
    killer, steps = Killer(cluster.head_node, SEED), 0
    try:
        workload = Workload(SEED)
        with killer:
            ends_at_s = time.monotonic() + SECONDS
            while time.monotonic() < ends_at_s or killer.kills < 2:
                workload.step()
                steps += 1
                assert killer.problem is None
            workload.end()
    finally:
        ray.shutdown()
        cluster.shutdown()
        with capsys.disabled():
            print(f" [{steps} steps, {killer.kills} kills, seed {SEED}]", end="")
