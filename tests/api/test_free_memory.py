"""Shared memory that was used and is not needed goes back to the system; what lies beside it stays as it is."""

import os
from pathlib import Path

import numpy as np
from helpers import wait_until

import ray

MIB = 1 << 20


def test_free_memory_goes_back_to_the_system_after_a_while():
    context = ray.init(num_cpus=1, object_store_memory=200 * MIB, _system_config={"free_memory_kept_s": 0.3})
    try:
        arena = Path(f"/dev/shm/ray-{context.address_info['node_id'][:16]}.arena")

        def taken():
            return os.stat(arena).st_blocks * 512

        first, second = (np.full(40 * MIB, number, dtype=np.uint8) for number in (1, 2))
        first_ref, second_ref = ray.put(first), ray.put(second)
        assert taken() >= 80 * MIB
        del first_ref
        wait_until(lambda: taken() < 50 * MIB)
        assert (ray.get(second_ref) == second).all()
        assert (ray.get(ray.put(first)) == first).all(), "in new pages"
        del second_ref
        wait_until(lambda: taken() < 10 * MIB)
    finally:
        ray.shutdown()
