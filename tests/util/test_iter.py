"""Parallel iterators, deprecated. Source: Ray docs 1.x, "Distributed iterators"."""

import pytest

import ray
from ray.util import iter as par

FIVE = [1, 2, 3, 4, 5]


@pytest.fixture
def five(cluster):
    return par.from_items(FIVE, num_shards=2)


def items(iterator):
    return list(iterator.gather_sync())


def test_items_are_dealt_out_and_gathered_in_turn(five):
    assert repr(five) == "ParallelIterator[from_items[int, 5, shards=2]]"
    assert five.num_shards() == 2
    assert items(five) == FIVE
    assert sorted(five.gather_async()) == FIVE
    assert sorted(five.gather_async(batch_ms=10, num_async=2)) == FIVE
    assert [list(shard) for shard in five.shards()] == [[1, 3, 5], [2, 4]]
    assert list(five.batch_across_shards()) == [[1, 2], [3, 4], [5]]
    assert five.take(3) == [1, 2, 3]


def test_sources(cluster):
    assert items(par.from_range(6, num_shards=3)) == [0, 2, 4, 1, 3, 5]
    assert par.from_range(4, 2, repeat=True).gather_sync().take(9) == [0, 2, 1, 3, 0, 2, 1, 3, 0]
    assert items(par.from_iterators([lambda: [1, 2], range(3, 5)])) == [1, 3, 2, 4]
    assert items(par.from_items([], 2)) == []

    @ray.remote(num_cpus=0)
    class Mine(par.ParallelIteratorWorker):
        def __init__(self):
            super().__init__(range(3), False)

    assert items(par.from_actors([Mine.remote(), Mine.remote()])) == [0, 0, 1, 1, 2, 2]


def test_steps_run_in_the_shards(five):
    assert items(five.for_each(lambda x: 2 * x)) == [2, 4, 6, 8, 10]
    assert items(five.filter(lambda x: x > 2)) == [3, 4, 5]
    assert items(five.batch(2)) == [[1, 3], [2, 4], [5]]
    assert items(five.batch(2).flatten()) == FIVE
    assert items(five.combine(lambda x: [x, x])) == [1, 2, 1, 2, 3, 4, 3, 4, 5, 5]
    assert items(five.transform(lambda it: (x + 1 for x in it))) == [2, 3, 4, 5, 6]
    assert sorted(items(five.local_shuffle(2, seed=1))) == FIVE
    steps = five.for_each(abs).filter(bool).batch(2).flatten()
    assert steps.name == "from_items[int, 5, shards=2].for_each().filter().batch(2).flatten()"


def test_concurrent_steps(five):
    assert sorted(items(five.for_each(lambda x: x, max_concurrency=2, resources={"num_cpus": 0}))) == FIVE
    assert sorted(five.gather_sync().for_each(lambda x: -x, max_concurrency=3)) == [-5, -4, -3, -2, -1]


def test_shards_are_joined_selected_and_dealt_out_anew(five):
    assert items(five.union(par.from_range(2, 1))) == [1, 2, 0, 3, 4, 1, 5]
    assert items(five.select_shards([1])) == [2, 4]
    assert list(five.get_shard(0)) == [1, 3, 5]
    for count in (1, 3):
        other = five.for_each(lambda x: 2 * x).repartition(count)
        assert other.num_shards() == count
        assert sorted(other.gather_sync()) == [2, 4, 6, 8, 10]
    assert sorted(x for shard in five.repartition(2, batch_ms=5).shards() for x in shard) == FIVE


def test_steps_here(five):
    assert list(five.gather_sync().for_each(str).filter("3".__ne__)) == ["1", "2", "4", "5"]
    assert list(five.gather_sync().batch(2).flatten()) == FIVE
    assert list(five.gather_sync().combine(lambda x: [x] * 2))[:3] == [1, 1, 2]
    assert sorted(five.gather_sync().shuffle(3, seed=0)) == FIVE
    both = five.gather_sync().union(par.from_range(2, 1).gather_sync(), deterministic=True)
    assert list(both) == [1, 0, 2, 1, 3, 4, 5]
    weighted = five.gather_sync().union(par.from_range(3, 1).gather_sync(), round_robin_weights=[1, 2])
    assert list(weighted) == [1, 0, 1, 2, 2, 3, 4, 5]
    left, right = five.gather_sync().duplicate(2)
    assert [next(left), next(right), next(left), next(right)] == [1, 1, 2, 2]
    assert next(five.gather_sync()) == 1


def test_where_an_item_came_from(five):
    pairs = list(five.gather_async().zip_with_source_actor())
    assert sorted(item for _, item in pairs) == FIVE
    assert len({actor for actor, _ in pairs}) == 2


def test_an_error_of_a_step_is_raised(five):
    with pytest.raises(ZeroDivisionError):
        five.for_each(lambda x: 1 / (x - 3)).take(5)


def test_wrong_use(five):
    with pytest.raises(TypeError, match="gather_sync"):
        iter(five)
    with pytest.raises(ValueError, match="positive"):
        five.gather_async(num_async=0)
    with pytest.raises(ValueError, match="out of range"):
        five.get_shard(9)
    with pytest.raises(AssertionError, match="Invalid"):
        five.select_shards([5])
