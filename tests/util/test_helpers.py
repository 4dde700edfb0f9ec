"""`as_completed` and `map_unordered`."""

import pytest

import ray
from ray.util import as_completed, map_unordered


@ray.remote
def double(x):
    return 2 * x


@ray.remote
def fail(x):
    raise ValueError(f"no {x}")


@ray.remote
def after(_dependency, x):
    return x


def test_all_results_come_whatever_the_chunk_size(cluster):
    for chunk_size in (1, 2, 3, 100):
        refs = [double.remote(x) for x in range(7)]
        assert sorted(as_completed(refs, chunk_size=chunk_size)) == list(range(0, 14, 2))
    assert list(as_completed([])) == []


def test_a_ready_result_overtakes_one_that_is_not(cluster, tmp_path):
    gate = str(tmp_path / "gate")

    @ray.remote
    def wait_for(path):
        import os
        import time

        while not os.path.exists(path):
            time.sleep(0.01)
        return "late"

    results = as_completed([wait_for.remote(gate), double.remote(1)], chunk_size=1)
    assert next(results) == 2
    open(gate, "w").close()
    assert list(results) == ["late"]


def test_refs_can_be_had_instead_of_values(cluster):
    refs = [double.remote(1), fail.remote(2)]
    assert set(as_completed(refs, yield_obj_refs=True)) == set(refs)


def test_an_error_is_raised_when_its_turn_comes(cluster):
    with pytest.raises(ValueError, match="no 1"):
        list(as_completed([fail.remote(1)]))
    with pytest.raises(ValueError, match="no 1"):
        list(map_unordered(fail, [1]))


def test_wrong_arguments_are_refused(cluster):
    with pytest.raises(ValueError, match="chunk_size"):
        list(as_completed([double.remote(1)], chunk_size=0))
    with pytest.raises(ValueError, match="chunk_size"):
        list(map_unordered(double, [1], chunk_size=0))
    with pytest.raises(TypeError, match="unknown"):
        list(as_completed([double.remote(1)], unknown=1))
    ref = double.remote(1)
    with pytest.raises(ValueError, match="unique"):
        list(as_completed([ref, ref]))


def test_map_unordered_maps_all_items_and_takes_them_as_it_goes(cluster):
    assert sorted(map_unordered(double, range(20), backpressure_size=4, chunk_size=2)) == list(range(0, 40, 2))
    assert sorted(map_unordered(double, range(20), backpressure_size=None)) == list(range(0, 40, 2))
    taken = []

    def items():
        for x in range(10):
            taken.append(x)
            yield x

    results = map_unordered(double, items(), backpressure_size=2, chunk_size=1)
    assert taken == []
    next(results)
    assert taken == [0, 1]
    assert len(list(results)) == 9
