"""Tasks on several nodes: spilling to where there is room, waiting for what is missing, surviving a node's death."""

import os
import time
from collections import Counter

import pytest

import ray
from ray.util.scheduling_strategies import Exists, In, NodeAffinitySchedulingStrategy, NodeLabelSchedulingStrategy

from .conftest import fail, wait_until


@ray.remote
def where():
    return ray.get_runtime_context().get_node_id()


@ray.remote
def hold(seconds):
    time.sleep(seconds)
    return ray.get_runtime_context().get_node_id()


@ray.remote
def meet(directory, count):
    """Ends once `count` tasks have come here: they must run at the same time."""
    node_id = ray.get_runtime_context().get_node_id()
    open(f"{directory}/{ray.get_runtime_context().get_task_id()}", "w").close()
    deadline_at_s = time.monotonic() + 60
    while len(os.listdir(directory)) < count:
        assert time.monotonic() < deadline_at_s, f"only {os.listdir(directory)} came"
        time.sleep(0.01)
    return node_id


def test_a_task_goes_to_the_node_that_has_what_it_needs(start_cluster):
    cluster = start_cluster(num_cpus=1)
    other = cluster.add(num_cpus=1, resources={"special": 1})
    assert ray.get(where.options(resources={"special": 1}).remote()) == other.node_id
    assert ray.get(where.remote()) == cluster.head_id
    assert ray.cluster_resources()["CPU"] == 2


def test_tasks_spill_to_free_nodes_and_run_at_the_same_time(start_cluster, tmp_path):
    cluster = start_cluster(num_cpus=1)
    nodes = {cluster.head_id, cluster.add().node_id, cluster.add().node_id}
    wait_until(lambda: ray.available_resources().get("CPU") == 3, "all nodes are seen")
    assert set(ray.get([meet.remote(str(tmp_path), 3) for _ in range(3)])) == nodes


def test_what_no_node_can_hold_waits_for_one_that_can(start_cluster):
    cluster = start_cluster(num_cpus=1)
    ref = where.options(num_cpus=2, resources={"later": 1}).remote()
    assert ray.wait([ref], timeout=0.3) == ([], [ref])
    assert ray.get(where.remote()) == cluster.head_id, "it holds nobody up"
    other = cluster.add(num_cpus=2, resources={"later": 1})
    assert ray.get(ref, timeout=20) == other.node_id


def test_a_task_whose_node_dies_runs_again_elsewhere(start_cluster):
    cluster = start_cluster(num_cpus=0)
    first = cluster.add(resources={"x": 1})
    ref = hold.options(resources={"x": 1}).remote(2)
    wait_until(lambda: ray.available_resources().get("x", 0) == 0, "the task runs")
    fail(first)
    second = cluster.add(resources={"x": 1})
    assert ray.get(ref, timeout=30) == second.node_id
    assert {n["NodeID"]: n["Alive"] for n in ray.nodes()} == {
        cluster.head_id: True,
        first.node_id: False,
        second.node_id: True,
    }


def test_a_task_without_retries_tells_that_its_node_died(start_cluster):
    cluster = start_cluster(num_cpus=0)
    node = cluster.add(resources={"x": 1})
    ref = hold.options(resources={"x": 1}, max_retries=0).remote(60)
    wait_until(lambda: ray.available_resources().get("x", 0) == 0, "the task runs")
    fail(node)
    with pytest.raises(ray.exceptions.NodeDiedError, match="hold"):
        ray.get(ref, timeout=30)


def test_a_worker_that_dies_on_another_node_is_told_from_a_node_that_dies(start_cluster):
    cluster = start_cluster(num_cpus=0)
    cluster.add(resources={"x": 1})

    @ray.remote(max_retries=0, resources={"x": 1})
    def end():
        os._exit(3)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(end.remote(), timeout=30)


def test_refs_travel_between_workers_of_different_nodes(start_cluster):
    cluster = start_cluster(num_cpus=1)
    cluster.add(resources={"x": 1})

    @ray.remote(resources={"x": 1})
    def make():
        return [ray.put("from there")]

    @ray.remote(num_cpus=1)
    def read(refs):
        return ray.get(refs[0])

    assert ray.get(read.remote(ray.get(make.remote()))) == "from there"


def test_spread_uses_every_node_even_for_quick_tasks(start_cluster):
    cluster = start_cluster(num_cpus=4)
    nodes = {cluster.head_id, cluster.add(num_cpus=4).node_id, cluster.add(num_cpus=4).node_id}
    wait_until(lambda: ray.available_resources().get("CPU") == 12, "all nodes are seen")
    spread = where.options(scheduling_strategy="SPREAD")
    counts = Counter(ray.get([spread.remote() for _ in range(12)]))
    assert set(counts) == nodes and max(counts.values()) <= 6, counts
    assert set(ray.get([where.remote() for _ in range(2)])) == {cluster.head_id}, "DEFAULT packs"


def test_node_affinity_hard_and_soft(start_cluster):
    cluster = start_cluster(num_cpus=1)
    other = cluster.add()
    hard = NodeAffinitySchedulingStrategy(other.node_id, soft=False)
    soft = NodeAffinitySchedulingStrategy(other.node_id, soft=True)
    assert ray.get(where.options(scheduling_strategy=hard).remote()) == other.node_id
    too_large = where.options(scheduling_strategy=hard, num_cpus=2).remote()
    with pytest.raises(ray.exceptions.TaskUnschedulableError, match="can never hold it"):
        ray.get(too_large, timeout=20)
    assert ray.get(where.options(scheduling_strategy=soft).remote()) == other.node_id
    fail(other)
    wait_until(lambda: len([n for n in ray.nodes() if n["Alive"]]) == 1, "the death is known")
    with pytest.raises(ray.exceptions.TaskUnschedulableError, match="does not exist any more"):
        ray.get(where.options(scheduling_strategy=hard).remote(), timeout=20)
    assert ray.get(where.options(scheduling_strategy=soft).remote(), timeout=20) == cluster.head_id


def test_a_task_that_waits_for_a_node_fails_when_the_node_dies(start_cluster):
    cluster = start_cluster(num_cpus=1)
    other = cluster.add()
    hard = NodeAffinitySchedulingStrategy(other.node_id, soft=False)
    first = hold.options(scheduling_strategy=hard, max_retries=0).remote(60)
    wait_until(lambda: ray.available_resources()["CPU"] == 1, "the first runs")
    second = where.options(scheduling_strategy=hard).remote()
    fail(other)
    with pytest.raises(ray.exceptions.NodeDiedError):
        ray.get(first, timeout=20)
    with pytest.raises(ray.exceptions.TaskUnschedulableError):
        ray.get(second, timeout=20)


def test_label_selectors_choose_nodes(start_cluster):
    cluster = start_cluster(num_cpus=1)
    east = cluster.add(labels={"region": "east", "disk": "ssd"})
    west = cluster.add(labels={"region": "west"})

    def at(**selector):
        return ray.get(where.options(label_selector=selector).remote(), timeout=20)

    assert at(region="east") == east.node_id
    assert at(region="in(west,north)") == west.node_id
    assert at(region="!east", disk="!ssd") in (west.node_id, cluster.head_id)
    assert at(**{"ray.io/node-id": west.node_id}) == west.node_id
    ref = where.options(label_selector={"region": "south"}).remote()
    assert ray.wait([ref], timeout=0.3)[0] == []
    south = cluster.add(labels={"region": "south"})
    assert ray.get(ref, timeout=20) == south.node_id
    fallbacks = [{"label_selector": {"region": "moon"}}, {"label_selector": {"region": "west"}}]
    options = {"label_selector": {"region": "mars"}, "fallback_strategy": fallbacks}
    assert ray.get(where.options(**options).remote(), timeout=20) == west.node_id
    tenant = Tenant.options(**options).remote()
    assert ray.get(tenant.where.remote(), timeout=20) == west.node_id
    labels = {n["NodeID"]: n["Labels"] for n in ray.nodes()}
    assert labels[east.node_id] == {"ray.io/node-id": east.node_id, "region": "east", "disk": "ssd"}
    strategy = NodeLabelSchedulingStrategy({"region": In("west")}, soft={"disk": Exists()})
    assert ray.get(where.options(scheduling_strategy=strategy).remote(), timeout=20) == west.node_id


@ray.remote
class Tenant:
    def where(self):
        return ray.get_runtime_context().get_node_id()


def test_a_burst_of_actors_fills_all_nodes(start_cluster):
    cluster = start_cluster(num_cpus=2)
    nodes = [cluster.head_id, cluster.add(num_cpus=2).node_id, cluster.add(num_cpus=2).node_id]
    actors = [Tenant.options(num_cpus=1).remote() for _ in range(6)]
    assert Counter(ray.get([a.where.remote() for a in actors], timeout=40)) == dict.fromkeys(nodes, 2)


def test_an_actor_that_waits_for_a_busy_node_goes_where_room_comes_up_first(start_cluster):
    cluster = start_cluster(num_cpus=1)
    keeps = Tenant.options(num_cpus=1).remote()
    assert ray.get(keeps.where.remote()) == cluster.head_id
    waits = Tenant.options(num_cpus=1).remote()
    place = waits.where.remote()
    assert ray.wait([place], timeout=0.5)[0] == []
    other = cluster.add(num_cpus=1)
    assert ray.get(place, timeout=20) == other.node_id
