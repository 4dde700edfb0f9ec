"""Environment variables on real processes: jobs, tasks, actors and their children."""

import os
import sys

import psutil
import pytest
from gone import wait_gone

import ray
from ray.exceptions import RuntimeEnvSetupError


@pytest.fixture
def init():
    def start(**arguments):
        return ray.init(num_cpus=2, object_store_memory=100 << 20, **arguments)

    ray.shutdown()
    yield start
    processes = psutil.Process().children(recursive=True)
    ray.shutdown()
    assert wait_gone(processes, timeout=10) == []


@ray.remote
def look(*names):
    return [os.environ.get(name) for name in names]


@ray.remote
def pid():
    return os.getpid()


@ray.remote
def through_a_child(*names):
    return ray.get(look.remote(*names))


def test_a_jobs_variables_reach_tasks_and_their_children_which_may_add_and_replace(init):
    init(runtime_env={"env_vars": {"A": "1", "B": "1"}})
    assert ray.get(look.remote("A", "B")) == ["1", "1"]
    own = through_a_child.options(runtime_env={"env_vars": {"B": "2", "C": "${A}c"}})
    assert ray.get(own.remote("A", "B", "C")) == ["1", "2", "1c"]
    assert "A" not in os.environ
    assert ray.get_runtime_context().runtime_env == {"env_vars": {"A": "1", "B": "1"}}


def test_each_environment_has_its_own_workers(init):
    init()
    one, other = ({"env_vars": {"X": value}} for value in "12")
    first = ray.get(pid.options(runtime_env=one).remote())
    assert ray.get(pid.options(runtime_env=other).remote()) != first
    assert ray.get(pid.remote()) != first
    assert ray.get(pid.options(runtime_env=one).remote()) == first


def test_a_variable_that_is_read_at_start_gets_a_fresh_interpreter(init):
    @ray.remote(runtime_env={"env_vars": {"PYTHONHASHSEED": "7", "PYTHONPATH": "/of/mine:${PYTHONPATH}"}})
    def flags():
        return sys.flags.hash_randomization, "/of/mine" in sys.path, hash("ray")

    init()
    assert ray.get(flags.remote()) == ray.get(flags.options(runtime_env=flags._default_options["runtime_env"]).remote())
    assert ray.get(flags.remote())[:2] == (1, True)


def test_pythonpath_alone_is_done_by_the_zygote(init):
    init(runtime_env={"env_vars": {"PYTHONPATH": "/of/mine:${PYTHONPATH}"}})

    @ray.remote
    def path():
        return sys.path[0], sys.flags.hash_randomization

    assert ray.get(path.remote())[0] == "/of/mine"


def test_a_hook_runs_once_in_each_worker_before_its_tasks(init, tmp_path):
    marks = tmp_path / "marks"

    def hook():
        os.environ["HOOKED"] = "yes"
        with open(marks, "a") as file:
            file.write(f"{os.getpid()}\n")

    init(runtime_env={"worker_process_setup_hook": hook})
    assert ray.get([look.remote("HOOKED") for _ in range(20)]) == [["yes"]] * 20
    pids = marks.read_text().split()
    assert len(pids) == len(set(pids))
    assert ray.get_runtime_context().runtime_env["worker_process_setup_hook"] == "hook"


@pytest.mark.parametrize(
    ("hook", "text"),
    [
        ("os.no_such_function", "Failed to load the worker_process_setup_hook 'os.no_such_function'"),
        ("os.abort_mission.now", "Failed to load"),
        ("os.getpgid", "Failed to execute the worker_process_setup_hook"),
    ],
)
def test_a_hook_that_fails_is_told_to_the_task(init, hook, text):
    init(runtime_env={"worker_process_setup_hook": hook})
    with pytest.raises(RuntimeEnvSetupError, match=text):
        ray.get(look.remote(), timeout=30)


def test_wrong_environments_are_refused_where_they_are_written(init):
    with pytest.raises(TypeError, match="runtime_env must be a dict"):
        init(runtime_env="x")
    with pytest.raises(ValueError, match="must be an existing directory or a supported archive"):
        init(runtime_env={"working_dir": "/none/such"})
    assert not ray.is_initialized()
    init()
    with pytest.raises(TypeError, match="must be of type Dict"):
        look.options(runtime_env={"env_vars": {"A": 1}})
