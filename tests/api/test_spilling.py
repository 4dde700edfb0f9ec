"""More data than memory: objects go to disk and come back whole. Source: Ray docs, "Object Spilling"."""

import glob
import os
from itertools import pairwise

import numpy as np
import pytest
from helpers import wait_until

import ray

MIB = 1 << 20
CLUSTER = {"num_cpus": 2, "object_store_memory": 100 * MIB}
pytestmark = pytest.mark.usefixtures("shared_ray")


def block(number: int, mib: int = 10) -> np.ndarray:
    return np.full(mib * MIB // 8, number, dtype=np.int64)


def spilled_files() -> list[str]:
    context = ray.get_runtime_context()
    session = os.path.join(context.get_temp_dir(), context.get_session_name())
    return glob.glob(f"{session}/ray_spilled_objects_{context.get_node_id()}/*")


def test_four_times_the_memory_can_be_put_and_read_back():
    refs = [ray.put(block(number)) for number in range(40)]
    assert spilled_files()
    for number in reversed(range(40)):
        value = ray.get(refs[number])
        assert value[0] == value[-1] == number
        del value


def test_small_objects_share_files_and_each_comes_back():
    refs = [ray.put(np.full(20_000, number)) for number in range(1500)]  # 240 MB in objects of 160 kB
    assert len(spilled_files()) < 100
    assert all((ray.get(ref) == number).all() for number, ref in enumerate(refs))


def test_tasks_read_spilled_arguments_and_leave_large_results():
    @ray.remote
    def double(array):
        return array * 2

    refs = [double.remote(ray.put(block(number))) for number in range(20)]
    assert [int(ray.get(ref)[7]) for ref in refs] == [2 * number for number in range(20)]


def test_what_somebody_views_stays_and_keeps_its_contents():
    views = [ray.get(ray.put(block(number))) for number in range(4)]
    others = [ray.put(block(number)) for number in range(20)]
    assert [int(view.sum()) for view in views] == [number * len(views[0]) for number in range(4)]
    del others


def test_files_are_deleted_once_their_objects_are_freed():
    refs = [ray.put(block(number)) for number in range(30)]
    assert spilled_files()
    del refs
    wait_until(lambda: not spilled_files())


def test_a_store_full_of_views_takes_more():
    views = [ray.get(ray.put(block(number))) for number in range(9)]
    assert ray.get(ray.put(block(7, mib=30)))[5] == 7
    assert [int(view[5]) for view in views] == list(range(9))


def test_an_object_larger_than_the_store_is_taken():
    assert ray.get(ray.put(np.full(200 * MIB, 9, dtype=np.uint8)))[-1] == 9


def test_a_sort_of_four_times_the_store_ends_and_is_right():
    parts, size = 16, 25 * MIB // 8  # 400 MiB in all

    @ray.remote(num_returns=parts)
    def scatter(seed):
        values = np.random.default_rng(seed).integers(0, 1 << 62, size)
        values.sort()
        edges = np.searchsorted(values, [(1 << 62) * cut // parts for cut in range(1, parts)])
        return np.split(values, edges)

    @ray.remote
    def gather(*pieces):
        merged = np.concatenate(pieces)
        merged.sort()
        return merged, int(merged[0]), int(merged[-1]), len(merged)

    @ray.remote
    def check(result):
        merged, least, greatest, count = result
        assert (np.diff(merged) >= 0).all()
        return least, greatest, count

    scattered = [scatter.remote(seed) for seed in range(parts)]
    gathered = [gather.remote(*[row[part] for row in scattered]) for part in range(parts)]
    del scattered
    ranges = [ray.get(check.remote(ref)) for ref in gathered]
    assert sum(count for *_, count in ranges) == parts * size
    assert all(left[1] <= right[0] for left, right in pairwise(ranges))
