"""What code can learn about where it runs (docs: "Runtime context", `ray.nodes`, `ray.cluster_resources`)."""

import os

import pytest

import ray

pytestmark = pytest.mark.usefixtures("shared_ray")
CLUSTER = {"num_cpus": 4, "resources": {"custom": 3}, "namespace": "context"}


def _context():
    return ray.get_runtime_context()


@ray.remote
def ids():
    context = ray.get_runtime_context()
    return {
        "job": context.get_job_id(),
        "node": context.get_node_id(),
        "worker": context.get_worker_id(),
        "task": context.get_task_id(),
        "actor": context.get_actor_id(),
        "actor_name": context.get_actor_name(),
        "pid": os.getpid(),
    }


@ray.remote
class Actor:
    def ids(self):
        context = ray.get_runtime_context()
        return {
            "job": context.get_job_id(),
            "node": context.get_node_id(),
            "worker": context.get_worker_id(),
            "task": context.get_task_id(),
            "actor": context.get_actor_id(),
            "names": (context.get_task_name(), context.get_task_function_name()),
            "resources": context.get_assigned_resources(),
        }

    async def own_handle(self):
        return ray.get_runtime_context().current_actor


# --- ids ---


def test_the_driver_has_a_job_a_node_and_a_worker():
    context = _context()
    assert context.get_job_id() == "01000000" or len(context.get_job_id()) == 8
    assert len(context.get_node_id()) == 56
    assert context.get_node_id() == ray.nodes()[0]["NodeID"]
    assert len(context.get_worker_id()) == 56
    assert context.get_worker_id().startswith(context.get_job_id())


def test_the_driver_runs_no_task_and_no_actor():
    context = _context()
    assert context.get_task_id() is None
    assert context.get_actor_id() is None
    assert context.get_actor_name() is None
    assert context.get_task_name() is None
    assert context.get_task_function_name() is None
    with pytest.raises(AssertionError):
        context.get_assigned_resources()
    with pytest.raises(RuntimeError):
        _ = context.current_actor


def test_a_task_has_ids_of_its_own():
    ref = ids.remote()
    found = ray.get(ref)
    assert found["job"] == _context().get_job_id()
    assert found["node"] == _context().get_node_id()
    assert found["worker"] != _context().get_worker_id()
    assert found["task"] == ref.task_id().hex()
    assert found["actor"] is None
    assert found["actor_name"] is None


def test_an_actor_has_ids_of_its_own():
    actor = Actor.remote()
    ref = actor.ids.remote()
    found = ray.get(ref)
    assert found["actor"] == actor._actor_id.hex()
    assert found["task"] == ref.task_id().hex()
    assert found["task"].endswith(found["actor"])
    assert found["job"] == _context().get_job_id()


def test_old_names_give_id_objects():
    context = _context()
    assert isinstance(context.job_id, ray.JobID)
    assert isinstance(context.node_id, ray.NodeID)
    assert context.job_id.hex() == context.get_job_id()
    assert context.worker is ray._private.worker.global_worker


# --- names ---


def test_tasks_and_methods_have_names():
    @ray.remote
    def named():
        context = ray.get_runtime_context()
        return context.get_task_name(), context.get_task_function_name()

    name, function = ray.get(named.remote())
    assert name.endswith("named")
    assert function == "test_runtime_context.named"  # not by its qualified name, as Ray
    name, function = ray.get(named.options(name="mine").remote())
    assert name == "mine"
    assert function.endswith("named")
    assert ray.get(Actor.remote().ids.remote())["names"] == ("Actor.ids", "test_runtime_context.Actor.ids")


def test_the_session_is_told_everywhere():
    @ray.remote
    def session():
        context = ray.get_runtime_context()
        return context.gcs_address, context.get_session_name(), context.get_temp_dir(), context.namespace

    context = _context()
    here = (context.gcs_address, context.get_session_name(), context.get_temp_dir(), context.namespace)
    assert ray.get(session.remote()) == here
    assert here[3] == "context"
    assert here[1].startswith("session_")


# --- resources ---


def test_a_task_knows_what_it_was_assigned():
    @ray.remote
    def assigned():
        return ray.get_runtime_context().get_assigned_resources()

    assert ray.get(assigned.remote()) == {"CPU": 1.0}
    assert ray.get(assigned.options(num_cpus=0.5, resources={"custom": 2}).remote()) == {"CPU": 0.5, "custom": 2.0}
    assert ray.get(assigned.options(num_cpus=0).remote()) == {}


def test_an_actor_knows_what_it_was_assigned():
    assert ray.get(Actor.remote().ids.remote())["resources"] == {}
    assert ray.get(Actor.options(num_cpus=2).remote().ids.remote())["resources"] == {"CPU": 2.0}


def test_the_node_has_labels():
    assert _context().get_node_labels()["ray.io/node-id"] == _context().get_node_id()


def test_accelerators_are_empty_without_any():
    @ray.remote
    def accelerators():
        return ray.get_runtime_context().get_accelerator_ids(), ray.get_gpu_ids()

    found, gpus = ray.get(accelerators.remote())
    assert found["GPU"] == []
    assert gpus == []
    assert ray.get_gpu_ids() == []


def test_the_runtime_env_is_told():
    @ray.remote
    def env():
        context = ray.get_runtime_context()
        return dict(context.runtime_env), context.get_runtime_env_string(), os.environ["ANSWER"]

    found, text, value = ray.get(env.options(runtime_env={"env_vars": {"ANSWER": "42"}}).remote())
    assert found["env_vars"] == {"ANSWER": "42"}
    assert "ANSWER" in text
    assert value == "42"
    assert _context().runtime_env == {}


def test_cancelled_is_for_tasks():
    @ray.remote
    def cancelled():
        return ray.get_runtime_context().is_canceled()

    assert ray.get(cancelled.remote()) is False
    with pytest.raises(RuntimeError):
        _context().is_canceled()


# --- the cluster ---


def test_nodes_are_described():
    (node,) = ray.nodes()
    assert node["Alive"] is True
    assert node["alive"] is True
    assert node["NodeID"] == _context().get_node_id()
    assert node["Resources"]["CPU"] == 4.0
    assert node["Resources"]["custom"] == 3.0
    assert node["Labels"]["ray.io/node-id"] == node["NodeID"]
    for key in (
        "NodeManagerAddress",
        "NodeManagerHostname",
        "NodeManagerPort",
        "ObjectManagerPort",
        "ObjectStoreSocketName",
        "RayletSocketName",
        "MetricsExportPort",
        "NodeName",
    ):
        assert key in node


def test_resources_of_the_cluster_are_floats():
    found = ray.cluster_resources()
    assert found["CPU"] == 4.0
    assert found["custom"] == 3.0
    assert found["node:__internal_head__"] == 1.0
    assert found[f"node:{ray.nodes()[0]['NodeManagerAddress']}"] == 1.0
    assert found["memory"] > 0
    assert found["object_store_memory"] > 0
    assert all(isinstance(amount, float) for amount in found.values())
    assert set(ray.available_resources()) <= set(found)


def test_the_head_can_be_asked_for():
    assert ray.get(ids.options(resources={"node:__internal_head__": 0.01}).remote())["node"] == _context().get_node_id()
    address = ray.nodes()[0]["NodeManagerAddress"]
    assert ray.get(ids.options(resources={f"node:{address}": 0.01}).remote())["node"] == _context().get_node_id()


def test_own_handle():
    actor = Actor.remote()
    assert ray.get(actor.own_handle.remote()) == actor


def test_ids_are_made_from_text_and_bytes():
    for kind in (ray.JobID, ray.NodeID, ray.ActorID, ray.TaskID, ray.WorkerID, ray.UniqueID, ray.PlacementGroupID):
        one = kind.nil()
        assert kind(one.binary()) == one
        assert hash(kind(one.binary())) == hash(one)
        assert repr(one) == f"{kind.__name__}({one.hex()})"
        assert kind.nil().is_nil()
        with pytest.raises(ValueError):
            kind(b"short")
    assert ray.JobID.from_int(1).hex() == "01000000"


@pytest.mark.parametrize("captures", [False, True])
def test_the_placement_group_of_a_task_and_of_an_actor(captures):
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    def group():
        context = ray.get_runtime_context()
        return context.get_placement_group_id(), context.should_capture_child_tasks_in_placement_group

    @ray.remote(num_cpus=0)
    class Actor:
        def group(self):
            return group()

    context = ray.get_runtime_context()
    assert context.get_placement_group_id() is None
    assert context.current_placement_group_id.is_nil()
    assert not context.should_capture_child_tasks_in_placement_group
    assert ray.get(ray.remote(group).remote()) == (None, False)
    made = placement_group([{"CPU": 1}])
    strategy = PlacementGroupSchedulingStrategy(made, placement_group_capture_child_tasks=captures)
    task = ray.remote(group).options(num_cpus=1, scheduling_strategy=strategy)
    assert ray.get(task.remote(), timeout=30) == (made.id.hex(), captures)
    actor = Actor.options(scheduling_strategy=strategy).remote()
    assert ray.get(actor.group.remote(), timeout=30) == (made.id.hex(), captures)
    remove_placement_group(made)
