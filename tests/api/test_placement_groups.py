"""Placement groups on one node (docs: "Placement groups")."""

import os

import pytest
from helpers import is_alive, wait_until

import ray
from ray.exceptions import GetTimeoutError, RayActorError
from ray.util.placement_group import (
    PlacementGroup,
    get_current_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

pytestmark = pytest.mark.usefixtures("shared_ray")
CLUSTER = {"num_cpus": 4, "num_gpus": 2, "resources": {"custom": 2}}


@ray.remote(num_cpus=1)
def group_id():
    return ray.get_runtime_context().get_placement_group_id()


@ray.remote(num_cpus=1)
class Member:
    def group(self):
        return ray.get_runtime_context().get_placement_group_id()

    def pid(self):
        return os.getpid()


def within(group, **more):
    return PlacementGroupSchedulingStrategy(placement_group=group, **more)


def free_cpus():
    return ray.available_resources().get("CPU", 0)


@pytest.fixture(autouse=True)
def _all_is_free(shared_ray):
    wait_until(lambda: free_cpus() == 4)
    yield
    for pg_id, row in placement_group_table().items():
        if row["state"] != "REMOVED":
            remove_placement_group(PlacementGroup(ray.PlacementGroupID.from_hex(pg_id)))


# --- creation ---


def test_a_group_becomes_ready_and_holds_its_resources():
    group = placement_group([{"CPU": 1}, {"CPU": 2}])
    assert ray.get(group.ready(), timeout=20).id == group.id
    assert group.wait(10)
    assert group.bundle_count == 2
    assert group.bundle_specs == [{"CPU": 1.0}, {"CPU": 2.0}]
    wait_until(lambda: free_cpus() == 1)
    remove_placement_group(group)
    wait_until(lambda: free_cpus() == 4)


@pytest.mark.parametrize("strategy", ["PACK", "SPREAD", "STRICT_PACK"])
def test_one_node_serves_these_strategies(strategy):
    group = placement_group([{"CPU": 1}] * 2, strategy=strategy)
    assert group.wait(20)


def test_a_group_that_cannot_be_placed_stays_pending():
    for bundles, strategy in (
        ([{"CPU": 100}], "PACK"),
        ([{"CPU": 1}] * 2, "STRICT_SPREAD"),
        ([{"nowhere": 1}], "PACK"),
    ):
        group = placement_group(bundles, strategy=strategy)
        assert not group.wait(0.3)
        with pytest.raises(GetTimeoutError):
            ray.get(group.ready(), timeout=0.1)
        assert placement_group_table(group)["state"] == "PENDING"
        assert free_cpus() == 4, "creation is all or nothing"
        remove_placement_group(group)


def test_a_group_that_waits_is_placed_when_there_is_room():
    first = placement_group([{"CPU": 3}])
    assert first.wait(20)
    second = placement_group([{"CPU": 3}])
    assert not second.wait(0.3)
    remove_placement_group(first)
    assert second.wait(20)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"bundles": []}, ValueError),
        ({"bundles": {"CPU": 1}}, ValueError),
        ({"bundles": [{}]}, ValueError),
        ({"bundles": [{"CPU": 0}]}, ValueError),
        ({"bundles": [{"CPU": 1}], "strategy": "SOMEHOW"}, ValueError),
        ({"bundles": [{"CPU": 1}], "lifetime": "forever"}, ValueError),
        ({"bundles": [{"CPU": 1}], "topology_strategy": {"rack": "PACK"}}, ValueError),
        ({"bundles": [{"CPU": 1}], "topology_strategy": {"rack": "SOMEHOW"}}, ValueError),
        ({"bundles": [{"CPU": 1}], "topology_strategy": {"": "STRICT_PACK"}}, ValueError),
        ({"bundles": [{"CPU": 1}], "topology_strategy": {"rack": "STRICT_PACK", "row": "STRICT_PACK"}}, ValueError),
        ({"bundles": [{"CPU": 1}], "topology_strategy": "STRICT_PACK"}, ValueError),
        ({"bundles": [{"CPU": 1}], "topology_strategy": {"rack": "STRICT_PACK"}, "strategy": "PACK"}, ValueError),
    ],
    ids=str,
)
def test_bad_groups_are_refused(arguments, error):
    with pytest.raises(error):
        placement_group(**arguments)


def test_groups_can_be_passed_to_tasks():
    @ray.remote(num_cpus=0)
    def use(group):
        return ray.get(group_id.options(scheduling_strategy=within(group)).remote()), group.bundle_count

    group = placement_group([{"CPU": 1}])
    assert ray.get(use.remote(group), timeout=30) == (group.id.hex(), 1)


def test_the_table_describes_groups():
    group = placement_group([{"CPU": 1}, {"GPU": 1}], strategy="PACK", name="described")
    assert group.wait(20)
    row = placement_group_table(group)
    assert row["placement_group_id"] == group.id.hex()
    assert row["name"] == "described"
    assert row["strategy"] == "PACK"
    assert row["state"] == "CREATED"
    assert {int(index): dict(each) for index, each in row["bundles"].items()} == {0: {"CPU": 1.0}, 1: {"GPU": 1.0}}
    assert set(row["bundles_to_node_id"].values()) == {ray.get_runtime_context().get_node_id()}
    assert group.id.hex() in placement_group_table()


# --- names ---


def test_named_groups_are_found():
    group = placement_group([{"CPU": 1}], name="named")
    assert ray.util.get_placement_group("named").id == group.id
    assert ray.util.get_placement_group("named").bundle_specs == group.bundle_specs
    for name in ("unknown", ""):
        with pytest.raises(ValueError):
            ray.util.get_placement_group(name)


def test_an_empty_group_is_no_group():
    assert PlacementGroup.empty().is_empty
    assert not placement_group([{"CPU": 1}]).is_empty
    assert get_current_placement_group() is None
    assert ray.get_runtime_context().get_placement_group_id() is None


# --- what runs inside ---


def test_tasks_and_actors_run_inside():
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    assert ray.get(group_id.options(scheduling_strategy=within(group)).remote()) == group.id.hex()
    assert ray.get(group_id.options(placement_group=group).remote()) == group.id.hex()
    member = Member.options(scheduling_strategy=within(group, placement_group_bundle_index=1)).remote()
    assert ray.get(member.group.remote()) == group.id.hex()
    assert ray.get(group_id.remote()) is None


def test_a_bundle_holds_no_more_than_it_has(tally, gate):
    @ray.remote(num_cpus=1)
    def enter():
        tally.add()
        gate.wait()

    group = placement_group([{"CPU": 1}, {"CPU": 2}])
    assert group.wait(20)
    in_first = [
        enter.options(scheduling_strategy=within(group, placement_group_bundle_index=0)).remote() for _ in range(2)
    ]
    wait_until(lambda: tally.count() == 1)
    assert ray.wait(in_first, timeout=0.3) == ([], in_first)
    anywhere = [enter.options(scheduling_strategy=within(group)).remote() for _ in range(3)]
    wait_until(lambda: tally.count() == 3)
    assert ray.wait(anywhere, timeout=0.3) == ([], anywhere)
    gate.open()
    ray.get(in_first + anywhere)


def test_what_does_not_fit_into_the_group_is_refused():
    group = placement_group([{"CPU": 1}])
    assert group.wait(20)
    with pytest.raises(ValueError):
        group_id.options(scheduling_strategy=within(group, placement_group_bundle_index=1)).remote()
    with pytest.raises(ValueError):
        group_id.options(num_cpus=2, scheduling_strategy=within(group)).remote()
    with pytest.raises(ValueError):
        group_id.options(num_gpus=1, scheduling_strategy=within(group)).remote()


def test_custom_resources_and_gpus_are_taken_from_bundles():
    @ray.remote(num_cpus=0, num_gpus=1, resources={"custom": 1})
    def use():
        return ray.get_gpu_ids()

    group = placement_group([{"GPU": 1, "custom": 1}])
    assert len(ray.get(use.options(scheduling_strategy=within(group)).remote(), timeout=30)) == 1


@pytest.mark.parametrize("capture", [True, False])
def test_children_are_captured_on_request(capture):
    @ray.remote(num_cpus=1)
    def parent():
        return ray.get(group_id.options(num_cpus=0).remote()), (
            ray.get_runtime_context().should_capture_child_tasks_in_placement_group
        )

    group = placement_group([{"CPU": 2}])
    strategy = within(group, placement_group_capture_child_tasks=capture)
    found, captures = ray.get(parent.options(scheduling_strategy=strategy).remote(), timeout=30)
    assert captures is capture
    assert found == (group.id.hex() if capture else None)


def test_a_captured_child_may_leave():
    @ray.remote(num_cpus=1)
    def parent():
        return ray.get(group_id.options(num_cpus=0, scheduling_strategy=within(None)).remote())

    group = placement_group([{"CPU": 1}])
    strategy = within(group, placement_group_capture_child_tasks=True)
    assert ray.get(parent.options(scheduling_strategy=strategy).remote(), timeout=30) is None


def test_the_current_group_is_told():
    @ray.remote(num_cpus=1)
    def current():
        return get_current_placement_group().id.hex()

    group = placement_group([{"CPU": 1}])
    assert ray.get(current.options(scheduling_strategy=within(group)).remote(), timeout=30) == group.id.hex()


# --- the end of a group ---


def test_removing_a_group_kills_what_is_inside(gate, tally):
    @ray.remote(num_cpus=1, max_retries=0)
    def hold():
        tally.add()
        gate.wait(60)

    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    member = Member.options(scheduling_strategy=within(group)).remote()
    pid = ray.get(member.pid.remote(), timeout=30)
    ref = hold.options(scheduling_strategy=within(group)).remote()
    wait_until(lambda: tally.count() == 1)
    remove_placement_group(group)
    with pytest.raises(RayActorError):
        ray.get(member.pid.remote(), timeout=30)
    with pytest.raises(ray.exceptions.RayError):
        ray.get(ref, timeout=30)
    wait_until(lambda: not is_alive(pid))
    assert placement_group_table(group)["state"] == "REMOVED"
    wait_until(lambda: free_cpus() == 4)


def test_removing_twice_does_no_harm():
    group = placement_group([{"CPU": 1}])
    assert group.wait(20)
    remove_placement_group(group)
    remove_placement_group(group)


def test_a_group_outlives_the_actor_that_made_it_as_long_as_the_job_runs():
    @ray.remote(num_cpus=0)
    class Maker:
        def make(self):
            self.group = placement_group([{"CPU": 2}])
            self.group.wait(20)
            return self.group

    maker = Maker.remote()
    group = ray.get(maker.make.remote())
    ray.kill(maker)
    with pytest.raises(RayActorError):
        ray.get(maker.make.remote())
    assert ray.get(group_id.options(scheduling_strategy=within(group)).remote(), timeout=30) == group.id.hex()
    assert placement_group_table(group)["state"] == "CREATED"


def test_a_detached_group_outlives_its_maker():
    @ray.remote(num_cpus=0)
    class Maker:
        def make(self):
            placement_group([{"CPU": 2}], lifetime="detached", name="detached group").wait(20)

    maker = Maker.remote()
    ray.get(maker.make.remote())
    ray.kill(maker)
    group = ray.util.get_placement_group("detached group")
    assert ray.get(group_id.options(scheduling_strategy=within(group)).remote(), timeout=30) == group.id.hex()
    remove_placement_group(group)
