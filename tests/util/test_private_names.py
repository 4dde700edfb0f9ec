"""Names that third parties import though they are private, and what these do."""

import json
import subprocess
import sys

import pytest

import ray
import ray._private.state
import ray._private.worker
from ray._common.test_utils import SignalActor, wait_for_condition
from ray._private.async_compat import is_async_func
from ray._private.utils import get_num_cpus, get_system_memory, get_user
from ray._raylet import GcsClient
from ray.experimental import get_object_locations

INIT = {"namespace": "names"}


@ray.remote(num_cpus=0)
class Actor:
    def ping(self):
        return "pong"

    def ids(self):
        worker = ray._private.worker.global_worker
        return worker.mode, worker.actor_id.hex(), worker.current_task_id.is_nil()


def test_the_global_worker_tells_where_it_is(cluster):
    worker = ray._private.worker.global_worker
    context = ray.get_runtime_context()
    assert worker.connected and worker.mode == ray.SCRIPT_MODE
    assert worker.current_job_id.hex() == context.get_job_id()
    assert worker.current_node_id.hex() == context.get_node_id()
    assert worker.namespace == "names"
    assert worker.actor_id.is_nil()
    assert worker.node is ray._private.worker._global_node
    assert worker.gcs_client.address == context.gcs_address
    worker.check_connected()
    actor = Actor.remote()
    assert ray.get(actor.ids.remote()) == (ray.WORKER_MODE, actor._actor_id.hex(), False)
    ray.kill(actor)


def test_a_gcs_client_reads_and_writes_the_key_value_table(cluster):
    client = GcsClient(address=ray.get_runtime_context().gcs_address)
    assert client.internal_kv_put(b"key", b"value", True, namespace=b"n") == 1
    assert client.internal_kv_put(b"key", b"other", False, namespace=b"n") == 0
    assert client.internal_kv_get(b"key", namespace=b"n") == b"value"
    assert client.internal_kv_get(b"key", namespace=b"elsewhere") is None
    assert client.internal_kv_keys(b"k", namespace=b"n") == [b"key"]
    assert client.internal_kv_exists(b"key", namespace=b"n")
    assert client.internal_kv_del(b"key", False, namespace=b"n") == 1
    assert not client.internal_kv_exists(b"key", namespace=b"n")
    node_id = ray.NodeID.from_hex(ray.get_runtime_context().get_node_id())
    assert list(client.get_all_node_info()) == [node_id]
    assert client.check_alive([node_id]) == [True]
    assert ray.JobID.from_hex(ray.get_runtime_context().get_job_id()) in client.get_all_job_info()


def test_actors_and_jobs_as_older_tools_know_them(cluster):
    actor = Actor.options(name="a").remote()
    ray.get(actor.ping.remote())
    actor_id = actor._actor_id.hex()
    row = ray._private.state.actors()[actor_id]
    assert (row["ActorID"], row["Name"], row["State"], row["ActorClassName"]) == (actor_id, "a", "ALIVE", "Actor")
    assert ray._private.state.actors(actor_id)["Pid"] == row["Pid"] > 0
    (job,) = ray._private.state.jobs()
    assert job["JobID"] == ray.get_runtime_context().get_job_id()
    assert not job["IsDead"]
    assert ray._private.state.state.job_table() == [job]
    node_id = ray.get_runtime_context().get_node_id()
    assert ray._private.state.state.node_table()[0]["NodeID"] == node_id
    assert ray._private.state.state.total_resources_per_node()[node_id]["CPU"] == 4
    assert ray._private.state.node_ids() == [ray._private.state.current_node_id()]
    ray.kill(actor)


def test_where_objects_are(cluster):
    here = ray.get_runtime_context().get_node_id()
    large, small = ray.put(b"x" * (1 << 20)), ray.put(1)
    found = get_object_locations([large, small])
    assert found[large]["node_ids"] == found[small]["node_ids"] == [here]
    assert found[large]["object_size"] >= 1 << 20
    assert found[large]["did_spill"] is False

    @ray.remote(resources={"nowhere": 1})
    def pending():
        return 1

    ref = pending.remote()
    assert get_object_locations([ref]) == {ref: {"node_ids": [], "object_size": None, "did_spill": False}}
    ray.cancel(ref)
    with pytest.raises(DeprecationWarning):
        ray.experimental.set_resource("a", 1)


def test_facts_of_this_machine():
    assert get_system_memory() > 1 << 20
    assert get_num_cpus() >= 1
    assert get_user()

    async def asynchronous(): ...

    assert is_async_func(asynchronous) and not is_async_func(get_user)


def test_other_languages_are_refused_by_name(cluster):
    for foreign in (ray.java_function("A", "b"), ray.java_actor_class("A"), ray.cross_language.cpp_function("f")):
        with pytest.raises(ValueError, match=r"[Cc]ross language"):
            foreign.options(num_cpus=1).remote()
        with pytest.raises(TypeError):
            foreign()
    with pytest.raises(TypeError):
        ray.java_actor_class(5)


MODULES = [
    "ray._common.constants ray._common.network_utils ray._common.test_utils ray._common.utils",
    "ray._common.usage.usage_lib ray._private.async_compat ray._private.auto_init_hook ray._private.client_mode_hook",
    "ray._private.conftest_utils ray._private.inspect_util ray._private.ray_constants ray._private.services",
    "ray._private.state ray._private.test_utils ray._private.utils ray._private.worker ray._raylet ray.actor",
    "ray.client_builder ray.cluster_utils ray.cross_language ray.dag ray.exceptions ray.experimental.internal_kv",
    "ray.internal ray.remote_function ray.runtime_context ray.types ray.util.accelerators ray.util.annotations",
]


@pytest.mark.parametrize("modules", MODULES)
def test_modules_can_be_imported_first(modules):
    for module in modules.split():
        done = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (module, done.stderr)


def test_the_core_worker_counts_references(cluster):
    core = ray._private.worker.global_worker.core_worker

    def counts():
        return {key: (each["local"], each["submitted"]) for key, each in core.get_all_reference_counts().items()}

    before = set(counts())

    @ray.remote
    def waits(gate, nested):
        ray.get(nested)

    gate, never = ray.put(1), ray.remote(resources={"nowhere": 1})(lambda: None).remote()
    result = waits.remote(gate, [never])
    key, wanted, pending = (ref.hex().encode() for ref in (gate, result, never))
    found = counts()
    assert found[key] == (1, 1) and found[wanted] == (1, 0) and found[pending][0] == 1
    assert core.object_exists(gate) and not core.object_exists(result)
    assert not core.object_exists(ray.ObjectRef.from_random())
    another, nested = gate, ray.put([gate])
    assert counts()[key] == (1, 1)  # one ref by two names; what holds it inside is no task
    actor = Actor.remote()
    assert set(counts()) == {*found, *(each.hex().encode() for each in (another, nested))}  # handles are not listed
    ray.kill(actor)
    ray.cancel(never)
    ray.cancel(result)
    del gate, another, never, result, nested
    wait_for_condition(lambda: set(counts()) <= before)
    assert core.get_worker_id().hex() == ray.get_runtime_context().get_worker_id()
    assert core.get_current_job_id().hex() == ray.get_runtime_context().get_job_id()
    assert core.get_current_node_id().hex() == ray.get_runtime_context().get_node_id()
    assert core.get_actor_id().is_nil() and core.get_current_task_id().is_nil()
    assert core.get_placement_group_id().is_nil()


def test_nodes_and_workers_tell_what_tests_ask(cluster):
    worker, (row,) = ray._private.worker.global_worker, ray.nodes()
    node = ray._private.worker._global_node
    assert node.node_manager_port == row["NodeManagerPort"] > 0
    assert node.metrics_export_port == node.address_info["metrics_export_port"] == row["MetricsExportPort"]
    assert node.dashboard_agent_listen_port == row["DashboardAgentListenPort"]
    client = node.get_gcs_client()
    assert [each.hex() for each in client.get_all_node_info()] == [node.node_id]
    client.close()
    assert worker.placement_group_id.is_nil() and not worker.should_capture_child_tasks_in_placement_group
    assert worker.runtime_env == "{}"
    assert worker.get_accelerator_ids_for_accelerator_resource("GPU", "^GPU$") == []
    assert ray._private.state.state.get_system_config()["health_check_period_ms"] == 3000
    assert ray._private.state.state.node_ids() == [f"node:{row['NodeManagerAddress']}"]
    assert isinstance(json.loads(ray._private.state.state.chrome_tracing_dump()), list)
    with pytest.raises(AssertionError, match="when the process is a worker"):
        _ = ray.get_runtime_context().actor_id


class Custom:
    def __init__(self, value):
        self.value = value


def test_the_serialization_context_takes_serializers(cluster):
    context = ray._private.worker.global_worker.get_serialization_context()
    context._register_cloudpickle_serializer(Custom, lambda custom: custom.value, lambda value: Custom(value * 2))
    assert ray.get(ray.put(Custom(2))).value == 4
    context._unregister_cloudpickle_reducer(Custom)
    assert ray.get(ray.put(Custom(2))).value == 2


def test_a_ref_that_only_a_task_keeps_is_not_a_local_one(cluster):
    core = ray._private.worker.global_worker.core_worker

    def counts(ref_hex):
        each = core.get_all_reference_counts().get(ref_hex)
        return each and (each["local"], each["submitted"])

    signal, value = SignalActor.remote(), ray.put(1)
    key = value.hex().encode()
    ref = ray.remote(lambda value, signal: ray.get(signal.wait.remote())).remote(value, signal)
    assert counts(key) == (1, 1)
    del value
    assert counts(key) == (0, 1)
    ray.get(signal.send.remote())
    ray.get(ref)
    wait_for_condition(lambda: counts(key) is None)
