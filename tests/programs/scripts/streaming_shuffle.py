"""Shuffle: generators stream partitions while maps still run; reducers take refs."""

import numpy as np

import ray

ray.init(num_cpus=4, object_store_memory=200 << 20)
MAPS, REDUCERS, ROWS = 6, 4, 50_000


@ray.remote
def scatter(seed):
    rows = np.random.default_rng(seed).integers(0, 1 << 30, ROWS)
    for reducer in range(REDUCERS):
        yield rows[rows % REDUCERS == reducer]


@ray.remote
def gather(*parts):
    return np.sort(np.concatenate(parts))


columns = [list(stream) for stream in [scatter.remote(seed) for seed in range(MAPS)]]
for column in columns:
    assert len(column) == REDUCERS
results = ray.get([gather.remote(*parts) for parts in zip(*columns, strict=True)])
everything = np.sort(np.concatenate([np.random.default_rng(seed).integers(0, 1 << 30, ROWS) for seed in range(MAPS)]))
assert np.array_equal(np.sort(np.concatenate(results)), everything)
assert all((result % REDUCERS == number).all() for number, result in enumerate(results))
print("ok")
