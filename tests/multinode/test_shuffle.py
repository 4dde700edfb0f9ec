"""A shuffle across four nodes, one of which is killed in the middle: what it held is made again, and all is right."""

import numpy as np

import ray

from .conftest import fail

MAPS, REDUCES, COUNT = 5, 5, 1 << 17
"""Each of the maps makes COUNT numbers of 8 bytes, 200 KiB for each reduce."""


def test_a_shuffle_survives_the_death_of_a_node(start_cluster):
    nodes = start_cluster(num_cpus=0)
    workers = [nodes.add(num_cpus=1) for _ in range(4)]

    @ray.remote(num_returns=REDUCES, scheduling_strategy="SPREAD")
    def scatter(seed):
        values = np.random.default_rng(seed).integers(0, 1 << 62, COUNT)
        return [values[values % REDUCES == part] for part in range(REDUCES)]

    @ray.remote(scheduling_strategy="SPREAD")
    def gather(part, *pieces):
        merged = np.concatenate(pieces)
        assert (merged % REDUCES == part).all()
        return np.sort(merged)

    scattered = [scatter.remote(seed) for seed in range(MAPS)]
    gathered = [gather.remote(part, *[row[part] for row in scattered]) for part in range(REDUCES)]
    del scattered
    done, rest = ray.wait(gathered, num_returns=2, fetch_local=False, timeout=90)
    assert len(done) == 2 and rest
    fail(workers[0])
    everything = np.sort(
        np.concatenate([np.random.default_rng(seed).integers(0, 1 << 62, COUNT) for seed in range(MAPS)])
    )
    for part, ref in enumerate(gathered):
        assert (ray.get(ref, timeout=90) == everything[everything % REDUCES == part]).all()
