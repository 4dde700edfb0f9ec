"""kill -9 of a raylet in the middle of tasks and of transfers: no result is lost or wrong, nothing hangs."""

import threading
import time

import numpy as np
import pytest

import ray
from ray._core.common import messages as m
from ray._raylet import GcsClient
from ray.core.generated import autoscaler_pb2
from ray.scripts.where import gcs
from ray.util import placement_group, placement_group_table
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy as In

from .conftest import MIB, fail, wait_until


@ray.remote(max_retries=-1)
def make(number):
    time.sleep(0.01)
    return np.full(MIB // 4, number % 251, dtype=np.uint8)


@ray.remote(max_retries=-1)
def add(*arrays):
    return sum(int(array.sum(dtype=np.int64)) for array in arrays)


def expected(*numbers):
    return sum(number % 251 for number in numbers) * (MIB // 4)


def test_no_task_is_lost_when_nodes_die_and_come(start_cluster):
    cluster = start_cluster(num_cpus=1)
    nodes = [cluster.add(num_cpus=1) for _ in range(2)]
    made = [make.options(scheduling_strategy="SPREAD").remote(number) for number in range(120)]
    sums = [add.remote(*made[start : start + 4]) for start in range(0, 120, 4)]
    ray.wait(made, num_returns=30, timeout=60, fetch_local=False)
    fail(nodes[0])
    nodes.append(cluster.add(num_cpus=1))
    ray.wait(sums, num_returns=10, timeout=60, fetch_local=False)
    fail(nodes[1])
    got = ray.get(sums, timeout=100)
    assert got == [expected(*range(start, start + 4)) for start in range(0, 120, 4)]
    assert [int(array[0]) for array in ray.get(made, timeout=60)] == [number % 251 for number in range(120)]


def test_a_transfer_goes_on_from_another_copy_when_its_source_dies(start_cluster):
    """Both copies are whole; the source that is asked first dies while it sends."""
    cluster = start_cluster(num_cpus=0, object_store_memory=120 * MIB)
    first = cluster.add(resources={"x": 1}, object_store_memory=120 * MIB)
    second = cluster.add(resources={"y": 1}, object_store_memory=120 * MIB)

    @ray.remote(max_retries=0, num_cpus=0)
    def large():
        return np.arange(8 * MIB, dtype=np.int64)

    @ray.remote(num_cpus=0)
    def read(array):
        return int(array[-1])

    ref = large.options(resources={"x": 0.1}).remote()
    assert ray.get(read.options(resources={"y": 0.1}).remote(ref), timeout=60) == 8 * MIB - 1
    killer = threading.Timer(0.02, fail, [first])
    killer.start()
    array = ray.get(ref, timeout=60)
    killer.join()
    assert (array[:: MIB // 8] == np.arange(8 * MIB, dtype=np.int64)[:: MIB // 8]).all() and array[-1] == 8 * MIB - 1
    assert second.node_id in [node["NodeID"] for node in ray.nodes() if node["Alive"]]


def test_a_group_outlives_the_gcs(start_cluster):
    cluster = start_cluster(num_cpus=2, _system_config={"gcs_storage": "sqlite"})
    node = cluster.add(num_cpus=2)
    group = placement_group([{"CPU": 1}, {"CPU": 2}], strategy="STRICT_SPREAD", name="g")
    assert group.wait(20)
    waits = placement_group([{"CPU": 2}, {"CPU": 2}], strategy="STRICT_SPREAD")
    before = placement_group_table(group)["bundles_to_node_id"]
    head = cluster.cluster.head_node
    head.kill_gcs_server()
    head.start_gcs_server()
    wait_until(lambda: len([n for n in ray.nodes() if n["Alive"]]) == 2, "both raylets are back")
    assert placement_group_table(group)["bundles_to_node_id"] == before
    assert placement_group_table(waits)["state"] == "PENDING"
    ray.util.remove_placement_group(group)
    assert waits.wait(20), "what the first group held is free"
    assert set(placement_group_table(waits)["bundles_to_node_id"].values()) == {cluster.head_id, node.node_id}

    @ray.remote(num_cpus=2)
    def where():
        return ray.get_runtime_context().get_node_id()

    assert ray.get(where.options(scheduling_strategy=In(waits, 0)).remote(), timeout=20)


def drain(cluster, node, reason):
    with gcs(cluster.cluster.address) as client:
        client.request(m.DrainNode(node_id=bytes.fromhex(node.node_id), reason=reason, message="its machine goes"))


def test_a_node_that_drains_takes_nothing_new(start_cluster):
    cluster = start_cluster(num_cpus=0)
    node = cluster.add(num_cpus=1, resources={"x": 1})

    @ray.remote(resources={"x": 1})
    def task():
        return 1

    assert ray.get(task.remote(), timeout=20) == 1
    wait_until(lambda: ray.available_resources().get("x") == 1, "it is idle")
    drain(cluster, node, "PREEMPTION")
    ref = task.remote()
    assert ray.wait([ref], timeout=0.5)[0] == []
    cluster.add(num_cpus=1, resources={"x": 1})
    assert ray.get(ref, timeout=20) == 1


def test_a_drained_node_ends_when_nothing_is_left_on_it(start_cluster):
    cluster = start_cluster(num_cpus=0)
    node = cluster.add(num_cpus=1, resources={"x": 1})
    gcs_client = GcsClient(address=cluster.cluster.address)
    deadline_ms = 2**52

    @ray.remote(num_cpus=0)
    class Actor:
        def ping(self):
            return 1

    actor = Actor.options(resources={"x": 1}).remote()
    assert ray.get(actor.ping.remote(), timeout=20) == 1
    idle, preemption = (
        autoscaler_pb2.DrainNodeReason.Value(f"DRAIN_NODE_REASON_{name}") for name in ("IDLE_TERMINATION", "PREEMPTION")
    )
    wait_until(lambda: not ray.available_resources().get("x"), "its report has come")
    refusal = (False, "The node to be idle terminated is no longer idle.")
    assert gcs_client.drain_node(node.node_id, idle, "idle", deadline_ms) == refusal
    assert gcs_client.get_draining_nodes() == {}
    assert gcs_client.drain_node(node.node_id, preemption, "it will be gone", deadline_ms) == (True, "")
    assert gcs_client.get_draining_nodes() == ray._private.state.state.get_draining_nodes()
    assert gcs_client.get_draining_nodes() == {node.node_id: deadline_ms}
    assert ray.get(actor.ping.remote(), timeout=20) == 1
    ray.kill(actor)

    def row():
        (found,) = (each for each in ray.nodes() if each["NodeID"] == node.node_id)
        return found

    wait_until(lambda: not row()["Alive"], "it has left")
    assert (row()["DeathReason"], row()["DeathReasonMessage"]) == (3, "it will be gone")
    assert gcs_client.drain_node(node.node_id, idle, "again", 0) == (True, "")
    gcs_client.close()


def test_a_restart_by_a_preempted_node_is_free(start_cluster):
    cluster = start_cluster(num_cpus=0)
    node = cluster.add(num_cpus=1, resources={"x": 1})

    @ray.remote(resources={"x": 1}, max_restarts=1, max_task_retries=-1)
    class Actor:
        def node_id(self):
            return ray.get_runtime_context().get_node_id()

    actor = Actor.remote()
    assert ray.get(actor.node_id.remote(), timeout=20) == node.node_id
    other = cluster.add(num_cpus=1, resources={"x": 1})
    drain(cluster, node, "DRAIN_NODE_REASON_PREEMPTION")
    fail(node)
    assert ray.get(actor.node_id.remote(), timeout=20) == other.node_id
    row = ray.util.state.get_actor(actor._actor_id.hex())
    assert (row.num_restarts, row.num_restarts_due_to_node_preemption) == (1, 1)


def test_the_driver_is_warned_of_what_no_node_can_hold(start_cluster, capfd):
    start_cluster(num_cpus=1, _system_config={"infeasible_warning_s": 0.5})

    @ray.remote(num_gpus=3)
    def impossible():
        pass

    refs = [impossible.remote() for _ in range(5)]
    seen = []

    def warned():
        out = capfd.readouterr()
        seen.append(out.out + out.err)
        return "No available node types" in "".join(seen)

    wait_until(warned, "a warning")
    text = "".join(seen)
    assert "impossible" in text and "{'GPU': 3.0}" in text and text.count("No available node types") == 1
    with pytest.raises(ray.exceptions.GetTimeoutError):
        ray.get(refs, timeout=0.1)
