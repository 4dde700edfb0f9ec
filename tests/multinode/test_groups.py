"""Placement groups on real clusters (Ray docs, "Placement groups")."""

import os
import signal
import time

import pytest

import ray
from ray.util import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy as In

from .conftest import fail, wait_until


@ray.remote
def where():
    return ray.get_runtime_context().get_node_id()


@ray.remote
def hold(seconds):
    time.sleep(seconds)


@ray.remote
class Actor:
    def node(self):
        return ray.get_runtime_context().get_node_id()

    def pid(self):
        return os.getpid()

    def group(self):
        return get_current_placement_group()


def state(group):
    return placement_group_table(group)["state"]


def test_a_group_reserves_and_what_runs_inside_uses_that(start_cluster):
    cluster = start_cluster(num_cpus=4)
    group = placement_group([{"CPU": 1}, {"CPU": 2}], name="g")
    assert ray.get(group.ready(), timeout=10) == group and group.wait(5)
    assert group.bundle_specs == [{"CPU": 1.0}, {"CPU": 2.0}] and group.bundle_count == 2
    assert ray.available_resources()["CPU"] == 1
    table = placement_group_table(group)
    assert table["bundles"] == {0: {"CPU": 1.0}, 1: {"CPU": 2.0}}
    assert table["bundles_to_node_id"] == {0: cluster.head_id, 1: cluster.head_id}
    assert (table["name"], table["strategy"], table["state"]) == ("g", "PACK", "CREATED")
    assert table["stats"]["scheduling_state"] == "FINISHED"
    assert placement_group_table()[group.id.hex()] == table
    assert ray.get(where.options(num_cpus=2, scheduling_strategy=In(group)).remote(), timeout=10) == cluster.head_id
    names = ray.cluster_resources()
    assert names[f"CPU_group_1_{group.id.hex()}"] == 2 and names[f"bundle_group_{group.id.hex()}"] == 2000
    actor = Actor.options(num_cpus=2, scheduling_strategy=In(group, 1)).remote()
    assert ray.get(actor.group.remote(), timeout=10) == group
    assert get_current_placement_group() is None
    blocked = where.options(num_cpus=2, scheduling_strategy=In(group)).remote()
    assert ray.wait([blocked], timeout=0.3)[0] == [], "bundle 1 is taken"
    ray.kill(actor)
    ray.get(blocked, timeout=10)
    remove_placement_group(group)
    assert state(group) == "REMOVED"
    wait_until(lambda: ray.available_resources().get("CPU") == 4, "the resources are back")
    assert not any("group" in name for name in ray.cluster_resources())


def test_names_are_per_namespace_and_free_after_removal(start_cluster):
    start_cluster(num_cpus=2)
    group = placement_group([{"CPU": 1}], name="mine")
    assert get_placement_group("mine") == group
    assert get_placement_group("mine").bundle_specs == [{"CPU": 1.0}]
    with pytest.raises(ray.exceptions.RaySystemError, match="already exists"):
        placement_group([{"CPU": 1}], name="mine")
    with pytest.raises(ValueError, match="Failed to look up placement group with name: other"):
        get_placement_group("other")
    remove_placement_group(group)
    with pytest.raises(ValueError, match="Failed to look up"):
        get_placement_group("mine")
    placement_group([{"CPU": 1}], name="mine")


def test_what_cannot_be_placed_waits_all_or_nothing(start_cluster):
    cluster = start_cluster(num_cpus=2)
    group = placement_group([{"CPU": 2}, {"CPU": 2}], strategy="STRICT_SPREAD")
    assert not group.wait(0.3)
    table = placement_group_table(group)
    assert (table["state"], table["stats"]["scheduling_state"]) == ("PENDING", "INFEASIBLE")
    assert table["bundles_to_node_id"] == {0: "", 1: ""}
    assert ray.available_resources()["CPU"] == 2
    ref = where.options(scheduling_strategy=In(group, 1)).remote()
    other = cluster.add(num_cpus=2)
    assert group.wait(20)
    assert set(placement_group_table(group)["bundles_to_node_id"].values()) == {cluster.head_id, other.node_id}
    assert ray.get(ref, timeout=20) == placement_group_table(group)["bundles_to_node_id"][1]


def test_each_strategy_places_as_it_says(start_cluster):
    cluster = start_cluster(num_cpus=4)
    cluster.add(num_cpus=4)

    def nodes(strategy):
        group = placement_group([{"CPU": 1}, {"CPU": 1}], strategy=strategy)
        assert group.wait(20)
        places = list(placement_group_table(group)["bundles_to_node_id"].values())
        remove_placement_group(group)
        return len(set(places))

    assert [nodes(s) for s in ("PACK", "STRICT_PACK", "SPREAD", "STRICT_SPREAD")] == [1, 1, 2, 2]


def test_removal_ends_what_runs_and_what_waits(start_cluster):
    start_cluster(num_cpus=4)
    group = placement_group([{"CPU": 1}, {"CPU": 2}])
    running = hold.options(num_cpus=2, scheduling_strategy=In(group, 1), max_retries=0).remote(600)
    actor = Actor.options(num_cpus=1, scheduling_strategy=In(group, 0)).remote()
    pid = ray.get(actor.pid.remote(), timeout=20)
    wait_until(lambda: ray.available_resources().get(f"CPU_group_1_{group.id.hex()}", 0) == 0, "the task runs")
    waiting = hold.options(num_cpus=2, scheduling_strategy=In(group, 1)).remote(1)
    waiting_actor = Actor.options(num_cpus=1, scheduling_strategy=In(group, 0)).remote()
    assert ray.wait([waiting], timeout=0.3)[0] == []
    remove_placement_group(group)
    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(running, timeout=20)
    with pytest.raises(ray.exceptions.TaskPlacementGroupRemoved):
        ray.get(waiting, timeout=20)
    with pytest.raises(ray.exceptions.ActorDiedError, match="placement group was removed"):
        ray.get(actor.pid.remote(), timeout=20)
    with pytest.raises(ray.exceptions.ActorUnschedulableError, match="placement group was removed"):
        ray.get(waiting_actor.pid.remote(), timeout=20)
    with pytest.raises(ProcessLookupError):
        wait_until(lambda: os.kill(pid, 0), "the actor's process has ended")
    wait_until(lambda: ray.available_resources().get("CPU") == 4, "the resources are back")
    remove_placement_group(group)
    with pytest.raises(Exception, match="does not exist"):
        group.wait(1)
    with pytest.raises(ray.exceptions.TaskPlacementGroupRemoved):
        ray.get(group.ready(), timeout=10)


def test_waiting_for_a_group_that_is_removed_before_it_is_ready(start_cluster):
    start_cluster(num_cpus=1)
    group = placement_group([{"CPU": 100}])
    ready, task = group.ready(), where.options(scheduling_strategy=In(group)).remote()
    assert ray.wait([ready, task], timeout=0.3)[0] == []
    remove_placement_group(group)
    for ref in (ready, task):
        with pytest.raises(ray.exceptions.TaskPlacementGroupRemoved):
            ray.get(ref, timeout=20)


def test_demands_that_no_bundle_holds_are_refused(start_cluster):
    start_cluster(num_cpus=4)
    group = placement_group([{"CPU": 1}, {"CPU": 2}])
    with pytest.raises(ValueError, match="bundle index 2 is invalid"):
        where.options(scheduling_strategy=In(group, 2)).remote()
    with pytest.raises(ValueError, match=r"Cannot schedule where with the placement group because the resource"):
        where.options(num_cpus=3, scheduling_strategy=In(group)).remote()
    with pytest.raises(ValueError, match="Cannot schedule Actor"):
        Actor.options(num_gpus=1, scheduling_strategy=In(group)).remote()


def test_children_are_captured_only_when_told_to(start_cluster):
    start_cluster(num_cpus=4)
    group = placement_group([{"CPU": 2}])

    @ray.remote(num_cpus=0)
    def group_of_child():
        return get_current_placement_group()

    @ray.remote(num_cpus=1)
    def parent(escapes):
        child = group_of_child
        if escapes:
            child = child.options(scheduling_strategy=In(None))
        actor = Actor.options(num_cpus=0).remote()
        return ray.get([child.remote(), actor.group.remote()])

    def children(escapes=False, **kwargs):
        return ray.get(parent.options(scheduling_strategy=In(group, **kwargs)).remote(escapes), timeout=20)

    assert children() == [None, None]
    assert children(placement_group_capture_child_tasks=True) == [group, group]
    assert children(placement_group_capture_child_tasks=True, escapes=True) == [None, group]
    assert ray.get(group_of_child.remote()) is None


def test_lost_bundles_are_placed_anew_and_actors_follow(start_cluster):
    cluster = start_cluster(num_cpus=0)
    first, second = cluster.add(num_cpus=2), cluster.add(num_cpus=2)
    group = placement_group([{"CPU": 2}, {"CPU": 2}], strategy="STRICT_SPREAD")
    assert group.wait(20)
    places = placement_group_table(group)["bundles_to_node_id"]
    lost = next(index for index, node_id in places.items() if node_id == first.node_id)
    actor = Actor.options(
        num_cpus=1, max_restarts=-1, max_task_retries=-1, scheduling_strategy=In(group, lost)
    ).remote()
    assert ray.get(actor.node.remote(), timeout=20) == first.node_id
    fail(first)
    wait_until(lambda: state(group) == "RESCHEDULING", "the loss is known")
    assert placement_group_table(group)["bundles_to_node_id"][lost] == ""
    third = cluster.add(num_cpus=2)
    wait_until(lambda: state(group) == "CREATED", "it has a new place")
    assert set(placement_group_table(group)["bundles_to_node_id"].values()) == {second.node_id, third.node_id}
    assert ray.get(actor.node.remote(), timeout=30) == third.node_id


def test_groups_end_with_their_job_unless_detached(start_cluster):
    cluster = start_cluster(num_cpus=4)
    script = """
import ray
ray.init({address!r}, namespace="n")
from ray.util import placement_group
assert placement_group([{{"CPU": 1}}], name="short").wait(10)
assert placement_group([{{"CPU": 1}}], name="long", lifetime="detached").wait(10)
"""
    from ray._private.test_utils import run_string_as_driver

    run_string_as_driver(script.format(address=cluster.cluster.address))
    states = {row["name"]: row["state"] for row in placement_group_table().values()}
    wait_until(lambda: ray.available_resources().get("CPU") == 3, "one CPU stays reserved")
    states = {row["name"]: row["state"] for row in placement_group_table().values()}
    assert states == {"short": "REMOVED", "long": "CREATED"}


def test_groups_of_an_actor_outlive_it_while_the_job_runs(start_cluster):
    start_cluster(num_cpus=4)

    @ray.remote(num_cpus=0)
    class Creator:
        def create(self):
            self.group = placement_group([{"CPU": 1}])
            assert self.group.wait(10)
            return self.group

        def pid(self):
            return os.getpid()

    creator = Creator.remote()
    group = ray.get(creator.create.remote(), timeout=20)
    os.kill(ray.get(creator.pid.remote()), signal.SIGKILL)
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(creator.pid.remote())
    assert state(group) == "CREATED", "as in Ray: only when its job has ended too"


def test_bundles_can_ask_for_labels(start_cluster):
    cluster = start_cluster(num_cpus=2)
    node = cluster.add(num_cpus=2, labels={"zone": "z"})
    group = placement_group([{"CPU": 1}], bundle_label_selector=[{"zone": "z"}])
    assert group.wait(20)
    assert placement_group_table(group)["bundles_to_node_id"] == {0: node.node_id}


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"bundles": "x"}, "Placement group bundles must be a list, got <class 'str'>."),
        ({"bundles": []}, "Got empty list instead."),
        ({"bundles": [{}]}, "Bundles cannot be an empty dictionary or resources with only 0 values. Bundles: "),
        ({"bundles": [{"CPU": 0}]}, "only 0 values"),
        ({"bundles": [1]}, "Bundles must be a non-empty list of resource dictionaries."),
        ({"bundles": [{"CPU": "a"}]}, "Bundles must be a non-empty list of resource dictionaries."),
        ({"bundles": [{"CPU": 1}], "strategy": "X"}, "Invalid placement group strategy X."),
        ({"bundles": [{"CPU": 1}], "lifetime": "x"}, "must be either `None` or 'detached'. Got x."),
        ({"bundles": [{"CPU": 1}], "bundle_label_selector": [{}, {}]}, "should equal the length of `bundles`"),
        ({"bundles": [{"CPU": 1}], "_soft_target_node_id": "ab"}, "only works with STRICT_PACK but got PACK"),
    ],
)
def test_what_is_no_group_is_refused(kwargs, text):
    with pytest.raises(ValueError) as caught:
        placement_group(**kwargs)
    assert text in str(caught.value)


def test_the_empty_group():
    empty = PlacementGroup.empty()
    assert empty.is_empty and empty == PlacementGroup.empty() and not empty.wait(1)


def test_a_topology_strategy_keeps_a_group_within_one_value_of_a_label(start_cluster):
    cluster = start_cluster(num_cpus=1, labels={"rack": "a"})
    first = cluster.add(num_cpus=1, labels={"rack": "b"})
    group = placement_group([{"CPU": 1}] * 2, topology_strategy={"rack": "STRICT_PACK"})
    assert not group.wait(0.3)
    assert placement_group_table(group)["stats"]["scheduling_state"] == "INFEASIBLE"
    second = cluster.add(num_cpus=1, labels={"rack": "b"})
    assert group.wait(20)
    table = placement_group_table(group)
    assert set(table["bundles_to_node_id"].values()) == {first.node_id, second.node_id}
    assert table["strategy"] == "PACK"
