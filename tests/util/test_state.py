"""The state API.

Source: Ray docs, "State API".
"""

import os
import time

import pytest

import ray
from ray._common.test_utils import wait_for_condition
from ray.util import state
from ray.util.state.common import ActorState, ListApiOptions, StateResource, TaskState
from ray.util.state.exception import RayStateApiException, ServerUnavailable

DEADLINE_S = 20


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A task that failed, one that runs, one that waits for it, one that nothing can run, and an actor."""
    gate = str(tmp_path_factory.mktemp("gate") / "open")

    @ray.remote
    def good():
        return 1

    @ray.remote
    def bad():
        raise ValueError("no")

    @ray.remote
    def slow(_=None):
        while not os.path.exists(gate):
            time.sleep(0.01)

    @ray.remote(num_cpus=100)
    def huge():
        pass

    @ray.remote
    class Counter:
        def add(self):
            return os.getpid()

    @ray.remote
    def parent():
        return ray.get(good.options(name="child").remote())

    class Session:
        pass

    ray.init(num_cpus=2, log_to_driver=False)
    it = Session()
    it.counter = Counter.options(name="star").remote()
    it.pid = ray.get(it.counter.add.remote())
    it.good = good.remote()
    it.bad = bad.remote()
    ray.wait([it.bad, it.good], num_returns=2)
    ray.get(parent.remote())
    it.slow = slow.remote()
    it.pending = [slow.options(name="waits").remote(it.slow), huge.remote()]
    _until(lambda: state.get_task(it.slow).state == "RUNNING")
    yield it
    open(gate, "w").close()
    ray.shutdown()


def _until(predicate):
    end_at_s = time.monotonic() + DEADLINE_S
    while not predicate():
        assert time.monotonic() < end_at_s, predicate
        time.sleep(0.01)


def test_each_task_is_listed_in_its_state(session):
    found = {task.name: task.state for task in state.list_tasks(filters=[("name", "!=", "flaky")])}
    assert found == {
        "star:Counter.__init__": "FINISHED",
        "Counter.add": "FINISHED",
        "good": "FINISHED",
        "bad": "FAILED",
        "parent": "FINISHED",
        "child": "FINISHED",
        "slow": "RUNNING",
        "waits": "PENDING_ARGS_AVAIL",
        "huge": "PENDING_NODE_ASSIGNMENT",
    }


def test_a_task_has_its_columns_and_details_only_when_asked_for(session):
    (task,) = state.list_tasks(filters=[("name", "=", "good")])
    assert isinstance(task, TaskState)
    assert task["task_id"] == task.task_id == session.good.task_id().hex()
    assert (task.type, task.func_or_class_name, task.attempt_number) == ("NORMAL_TASK", "good", 0)
    assert task.job_id == ray.get_runtime_context().get_job_id()
    assert task.node_id == ray.get_runtime_context().get_node_id()
    assert task.worker_pid > 0 and task.error_type is None
    assert task.required_resources is None and task.events is None
    full = state.get_task(session.good)
    assert full.required_resources == {"CPU": 1.0}
    waited, ran = ["PENDING_ARGS_AVAIL", "PENDING_NODE_ASSIGNMENT"], ["SUBMITTED_TO_WORKER", "RUNNING", "FINISHED"]
    assert [event["state"] for event in full.events] == waited + ran
    times = [event["created_ms"] for event in full.events]
    assert times == sorted(times)
    config = {"setup_timeout_seconds": 600, "eager_install": True, "log_files": []}
    assert full.runtime_env_info == {"serialized_runtime_env": "{}", "runtime_env_config": config}
    (huge,) = state.list_tasks(filters=[("name", "=", "huge")], detail=True)
    assert [event["state"] for event in huge.events] == waited
    assert full.creation_time_ms <= full.start_time_ms <= full.end_time_ms
    assert set(full.asdict()) == TaskState.columns()


def test_a_failed_task_says_why(session):
    task = state.get_task(session.bad.task_id().hex())
    assert task.error_type == "TASK_EXECUTION_EXCEPTION"
    assert "ValueError: no" in task.error_message


def test_a_nested_task_knows_its_parent(session):
    (parent,) = state.list_tasks(filters=[("name", "=", "parent")])
    (child,) = state.list_tasks(filters=[("name", "=", "child")])
    assert child.parent_task_id == parent.task_id
    assert parent.parent_task_id == "ff" * 20 + parent.job_id


def test_filters_compare_text_without_case_and_numbers_as_numbers(session):
    assert [task.name for task in state.list_tasks(filters=[("state", "=", "failed")])] == ["bad"]
    assert len(state.list_tasks(filters=[("state", "!=", "FINISHED"), ("type", "=", "normal_task")])) == 4
    (actor,) = state.list_actors(filters=[("pid", "=", str(session.pid))])
    assert actor.class_name == "session.<locals>.Counter"
    assert state.list_nodes(filters=[("is_head_node", "=", "True")]) == state.list_nodes()
    assert state.list_nodes(filters=[("is_head_node", "=", False)]) == []


@pytest.mark.parametrize("filters", [[("state", "~", "x")], [("state", "=")]])
def test_a_filter_that_is_none_is_refused(session, filters):
    with pytest.raises(ValueError):
        state.list_tasks(filters=filters)


@pytest.mark.parametrize("column", ["nothing", "events"])
def test_a_column_that_cannot_be_filtered_by_is_refused_with_those_that_can(session, column):
    with pytest.raises(RayStateApiException, match=r"filter column .* is not supported.*task_id"):
        state.list_tasks(filters=[(column, "=", "x")])


def test_a_number_column_wants_a_number(session):
    with pytest.raises(RayStateApiException, match="pid"):
        state.list_actors(filters=[("pid", "=", "many")])


def test_limits_are_kept_and_have_a_limit(session):
    assert len(state.list_tasks(limit=2)) == 2
    with pytest.raises(RayStateApiException, match="RAY_MAX_LIMIT_FROM_API_SERVER"):
        state.list_tasks(limit=10001)


def test_actors_are_listed_and_found_by_id(session):
    (actor,) = state.list_actors(detail=True)
    assert isinstance(actor, ActorState)
    assert (actor.name, actor.state, actor.pid) == ("star", "ALIVE", session.pid)
    assert (actor.num_restarts, actor.is_detached, actor.death_cause) == (0, False, None)
    assert state.get_actor(actor.actor_id) == actor
    assert state.get_actor("ab" * 16) is None
    with pytest.raises(RayStateApiException, match="no id"):
        state.get_actor("zz")


def test_nodes_workers_and_jobs_are_listed(session):
    (node,) = state.list_nodes(detail=True)
    assert (node.node_id, node.state, node.is_head_node) == (ray.get_runtime_context().get_node_id(), "ALIVE", True)
    assert node.resources_total["CPU"] == 2.0 and node.start_time_ms > 0
    assert state.get_node(node.node_id) == node
    workers = state.list_workers(detail=True)
    assert all(0 < worker.start_time_ms <= time.time() * 1000 for worker in workers)
    assert state.get_worker(ray.get_runtime_context().get_worker_id()).pid == os.getpid()
    assert {worker.worker_type for worker in workers} == {"DRIVER", "WORKER"}
    assert os.getpid() in [worker.pid for worker in workers if worker.worker_type == "DRIVER"]
    assert session.pid in [worker.pid for worker in workers]
    assert state.get_worker(workers[0].worker_id).pid == workers[0].pid
    job = state.get_job(ray.get_runtime_context().get_job_id())
    assert (job.status, job.type, job.driver_info["pid"]) == ("RUNNING", "DRIVER", str(os.getpid()))


def test_objects_are_seen_by_the_processes_that_have_refs_to_them(session):
    (found,) = state.get_objects(session.good.hex())
    assert (found.reference_type, found.task_status, found.pid) == ("LOCAL_REFERENCE", "FINISHED", os.getpid())
    assert found.object_size > 0
    by_id = {each.object_id: each for each in state.list_objects()}
    assert by_id[session.slow.hex()].reference_type == "USED_BY_PENDING_TASK"
    assert by_id[session.slow.hex()].object_size == -1
    large = ray.put(b"x" * 1_000_000)
    assert state.get_objects(large.hex())[0].object_size >= 1_000_000


def test_summaries_count_by_name_and_class(session):
    tasks = state.summarize_tasks()["cluster"]
    assert tasks["summary"]["slow"]["state_counts"] == {"RUNNING": 1}
    assert tasks["summary"]["Counter.add"]["type"] == "ACTOR_TASK"
    normal = state.list_tasks(filters=[("type", "=", "NORMAL_TASK")])
    assert (tasks["total_tasks"], tasks["total_actor_tasks"]) == (len(normal), 1)
    assert tasks["total_actor_scheduled"] == 1
    actors, name = state.summarize_actors()["cluster"], "session.<locals>.Counter"
    assert actors == {
        "summary": {name: {"class_name": name, "state_counts": {"ALIVE": 1}}},
        "total_actors": 1,
        "summary_by": "class",
    }
    objects = state.summarize_objects()["cluster"]
    assert objects["total_objects"] == len(state.list_objects())


def test_the_client_asks_another_process_s_cluster_by_address(session):
    address = ray.get_runtime_context().gcs_address
    client = state.StateApiClient(address)
    (actor,) = client.list(StateResource.ACTORS, ListApiOptions(), raise_on_missing_output=True)
    assert actor.name == "star"
    assert [node.node_id for node in state.list_nodes(address=address)] == [ray.get_runtime_context().get_node_id()]


def test_where_nobody_answers_is_said(session):
    with pytest.raises(ServerUnavailable, match=r"127\.0\.0\.1:1"):
        state.list_actors(address="127.0.0.1:1")
    with pytest.raises(ServerUnavailable, match="dashboard"):
        state.list_actors(address="http://127.0.0.1:8265")


def test_a_task_that_was_tried_again_has_a_row_for_each_attempt(session, tmp_path):
    @ray.remote(max_retries=2, retry_exceptions=True, num_cpus=0)
    def flaky(path):
        with open(path, "a") as file:
            file.write("x")
        if os.path.getsize(path) < 3:
            raise OSError("not yet")

    ref = flaky.remote(str(tmp_path / "tries"))
    ray.get(ref)
    attempts = state.get_task(ref)
    assert sorted((each.attempt_number, each.state) for each in attempts) == [
        (0, "FAILED"),
        (1, "FAILED"),
        (2, "FINISHED"),
    ]


def test_a_worker_that_died_at_work_is_an_event_of_the_cluster(session):
    @ray.remote(max_retries=0, num_cpus=0)
    def crash():
        os._exit(1)

    ray.wait([crash.remote()])
    _until(state.list_cluster_events)
    event = state.list_cluster_events(detail=True)[-1]
    assert event["message"].startswith("A worker died or was killed")
    assert (event["severity"], event["source_type"]) == ("ERROR", "RAYLET")
    assert event["custom_fields"]["kind"] == "worker_died"
    assert state.list_cluster_events(filters=[("severity", "=", "WARNING")]) == []


def test_runtime_environments_are_listed_on_the_nodes_that_have_them(session):
    @ray.remote(num_cpus=0, runtime_env={"env_vars": {"COLOUR": "red"}})
    def colour():
        return os.environ["COLOUR"]

    assert ray.get(colour.remote()) == "red"
    found = state.list_runtime_envs(detail=True)
    assert [each.runtime_env["env_vars"] for each in found] == [{"COLOUR": "red"}]
    assert (found[0].success, found[0].node_id) == (True, ray.get_runtime_context().get_node_id())
    assert found[0].ref_cnt >= 1


def test_workers_that_have_ended_are_listed_with_their_end(session):
    @ray.remote(num_cpus=0)
    class Ends:
        def leave(self):
            ray.actor.exit_actor()

        def crash(self):
            os._exit(7)

        def ready(self):
            return ray.get_runtime_context().get_worker_id()

    ends = {}
    for how in ("leave", "crash", "killed"):
        actor = Ends.remote()
        ends[how] = ray.get(actor.ready.remote())
        if how == "killed":
            ray.kill(actor)
        else:
            with pytest.raises(ray.exceptions.ActorDiedError):
                ray.get(getattr(actor, how).remote())

    @ray.remote(num_cpus=0)
    class Fails:
        def __init__(self):
            raise ValueError("not today")

    failed = Fails.remote()
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(failed.__ray_ready__.remote())

    def told():
        rows = {row.worker_id: row for row in state.list_workers(detail=True, filters=[("is_alive", "=", False)])}
        ends.update(("failed", worker_id) for worker_id, row in rows.items() if row.exit_type == "USER_ERROR")
        return {how: rows[worker_id] for how, worker_id in ends.items() if worker_id in rows}

    wait_for_condition(lambda: len(told()) == 4)
    rows = told()
    assert "exception in the initialization method" in rows["failed"].exit_detail
    assert "ValueError: not today" in rows["failed"].exit_detail
    assert rows["leave"].exit_type == "INTENDED_USER_EXIT" and "exit_actor() is called" in rows["leave"].exit_detail
    assert rows["crash"].exit_type == "SYSTEM_ERROR" and "exit code 7" in rows["crash"].exit_detail
    assert rows["killed"].exit_type == "INTENDED_SYSTEM_EXIT" and "ray.kill" in rows["killed"].exit_detail
    assert all(row.end_time_ms > 0 for row in rows.values())


def test_tasks_that_are_not_to_be_told(session):
    @ray.remote(num_cpus=0, enable_task_events=False)
    class Hidden:
        def work(self):
            pass

        @ray.method(enable_task_events=True)
        def told(self):
            return [task.name for task in state.list_tasks()]

        def look(self):
            return [task.name for task in state.list_tasks()]

    @ray.remote(num_cpus=0, enable_task_events=False)
    def hidden(actor):
        return ray.get(actor.told.remote())

    actor = Hidden.remote()
    ray.get(actor.work.remote())
    while_running = ray.get([actor.look.remote(), hidden.remote(actor)])
    _until(lambda: "Hidden.told" in [task.name for task in state.list_tasks()])
    after = [task.name for task in state.list_tasks()]
    for names in (*while_running, after):
        assert not {"Hidden.__init__", "Hidden.work", "Hidden.look", "hidden"} & set(names)
    ray.kill(actor)
