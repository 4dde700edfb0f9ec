"""`ray.util` and other libraries, which are built on the public calls, through Ray Client."""

from typing import Any

import pytest

import ray
from ray.util.placement_group import get_placement_group, placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

pytestmark = pytest.mark.usefixtures("connected")


@ray.remote(num_cpus=0)
class Doubler:
    def double(self, value: int) -> int:
        return 2 * value

    async def double_later(self, value: int) -> int:
        return 2 * value


def test_actor_pool() -> None:
    from ray.util import ActorPool

    pool = ActorPool([Doubler.remote(), Doubler.remote()])
    assert list(pool.map(lambda actor, value: actor.double.remote(value), [1, 2, 3])) == [2, 4, 6]


def test_queue() -> None:
    from ray.util.queue import Empty, Queue

    queue = Queue(maxsize=3)
    queue.put(1)
    queue.put_nowait(2)
    assert [queue.get(), queue.get(), queue.qsize()] == [1, 2, 0]
    with pytest.raises(Empty):
        queue.get_nowait()
    queue.shutdown()


def test_pool_of_processes() -> None:
    from ray.util.multiprocessing import Pool

    with Pool(2) as pool:
        assert pool.map(abs, [-1, -2, -3]) == [1, 2, 3]


def test_dags() -> None:
    from ray.dag import InputNode

    @ray.remote
    def increment(value: int) -> int:
        return value + 1

    with InputNode() as value, pytest.warns(DeprecationWarning):
        assert ray.get(increment.bind(increment.bind(value)).execute(1)) == 3


def test_placement_groups() -> None:
    group = placement_group([{"CPU": 1}], name="of-a-client")
    assert ray.get(group.ready()) == group
    assert group.wait(10)
    assert (group.bundle_specs, group.bundle_count) == ([{"CPU": 1}], 1)
    assert get_placement_group("of-a-client") == group
    assert ray.util.get_current_placement_group() is None

    @ray.remote
    def inside() -> Any:
        return ray.util.get_current_placement_group()

    assert ray.get(inside.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group)).remote()) == group
    assert placement_group_table(group)["state"] == "CREATED"
    remove_placement_group(group)
    assert placement_group_table(group)["state"] == "REMOVED"
    with pytest.raises(ValueError):
        get_placement_group("nothing")


def test_strategies() -> None:
    @ray.remote
    def where() -> str:
        return str(ray.get_runtime_context().get_node_id())

    node_id = ray.nodes()[0]["NodeID"]
    strategy = NodeAffinitySchedulingStrategy(node_id, soft=False)
    assert ray.get(where.options(scheduling_strategy=strategy).remote()) == node_id


def test_asyncio_actors_and_actor_options() -> None:
    first = Doubler.options(name="shared", get_if_exists=True, max_concurrency=4).remote()
    second = Doubler.options(name="shared", get_if_exists=True).remote()
    assert first == second
    assert ray.get([first.double_later.remote(number) for number in range(5)]) == [0, 2, 4, 6, 8]
    assert ray.get(first.__ray_ready__.remote()) is True


def test_dynamic_generators() -> None:
    @ray.remote(num_returns="dynamic")
    def items() -> Any:
        yield 1
        yield 2

    assert [ray.get(ref) for ref in ray.get(items.remote())] == [1, 2]


def test_an_actor_ends_with_its_last_handle() -> None:
    counter = Doubler.options(name="let-go").remote()
    assert ray.get(counter.double.remote(1)) == 2
    del counter
    _wait_until(lambda: "let-go" not in ray.util.list_named_actors())


def test_cancel() -> None:
    @ray.remote(num_cpus=0)
    def forever() -> None:
        import time

        while True:
            time.sleep(0.01)

    ref = forever.remote()
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref)


def _wait_until(condition: Any) -> None:
    from ray._private.test_utils import wait_for_condition

    wait_for_condition(condition, timeout=20)


def test_a_placement_group_as_an_original_pickles_it() -> None:
    from ray._raylet import PlacementGroupID
    from ray.util.placement_group import PlacementGroup

    group = PlacementGroup.__new__(PlacementGroup)
    group.__setstate__({"id": PlacementGroupID.from_random(), "bundle_cache": [{"CPU": 1.0}]})
    assert not group.is_empty and group.bundle_specs == [{"CPU": 1.0}]
