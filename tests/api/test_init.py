"""Sessions: `ray.init`, `ray.shutdown`, and what they return and refuse (docs: "Starting Ray")."""

import os
import re
import subprocess
import sys

import pytest
from helpers import is_alive, wait_until

import ray


@ray.remote
def one():
    return 1


@ray.remote
class Holder:
    def get(self):
        return "held"


def test_init_starts_and_shutdown_stops(fresh_ray):
    assert not ray.is_initialized()
    fresh_ray()
    assert ray.is_initialized()
    assert ray.get(one.remote()) == 1
    ray.shutdown()
    assert not ray.is_initialized()


def test_shutdown_is_idempotent_and_harmless_before_init(fresh_ray):
    ray.shutdown()
    ray.shutdown()
    assert not ray.is_initialized()


def test_init_works_again_after_shutdown_with_the_same_remote_function(fresh_ray):
    for _ in range(2):
        fresh_ray()
        assert ray.get(one.remote()) == 1
        assert ray.get(Holder.remote().get.remote()) == "held"
        ray.shutdown()


def test_a_second_init_is_an_error_that_says_so(fresh_ray):
    fresh_ray()
    with pytest.raises(RuntimeError, match=re.escape("Maybe you called ray.init twice by accident?")):
        ray.init()
    assert ray.get(one.remote()) == 1


def test_a_second_init_may_be_ignored(fresh_ray):
    first = fresh_ray()
    second = ray.init(num_cpus=7, ignore_reinit_error=True)
    assert second.address_info["gcs_address"] == first.address_info["gcs_address"]
    assert ray.cluster_resources()["CPU"] == 2


def test_the_context_tells_about_the_session(fresh_ray):
    context = fresh_ray(include_dashboard=False)
    assert context.python_version == sys.version.split()[0]
    assert context.ray_version == ray.__version__
    assert context.ray_commit == ray.__commit__
    assert not context.dashboard_url
    keys = {
        "node_ip_address",
        "redis_address",
        "object_store_address",
        "raylet_socket_name",
        "webui_url",
        "session_dir",
        "metrics_export_port",
        "gcs_address",
        "address",
        "dashboard_agent_listen_port",
        "node_id",
    }
    assert keys <= set(context.address_info)
    assert context.address_info["redis_address"] is None
    assert context.address_info["node_id"] == ray.get_runtime_context().get_node_id()
    assert context.address_info["address"] == context.address_info["gcs_address"]
    assert os.path.isdir(context.address_info["session_dir"])


def test_the_context_may_be_read_as_a_mapping(fresh_ray):
    context = fresh_ray()
    with pytest.warns(DeprecationWarning):
        assert context["node_id"] == context.address_info["node_id"]


def test_the_context_is_a_context_manager_that_shuts_down(fresh_ray):
    with fresh_ray() as context:
        assert ray.is_initialized()
        assert context.address_info["node_id"]
    assert not ray.is_initialized()


def test_disconnect_of_the_context_shuts_down(fresh_ray):
    fresh_ray().disconnect()
    assert not ray.is_initialized()


def test_given_resources_are_the_clusters(fresh_ray):
    fresh_ray(num_cpus=3, num_gpus=2, resources={"special": 5})
    total = ray.cluster_resources()
    assert (total["CPU"], total["GPU"], total["special"]) == (3, 2, 5)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"num_cpus": -1}, ValueError, "nonnegative"),
        ({"resources": {"a": 1.5}}, ValueError, "whole numbers"),
        ({"resources": {"a": -1}}, ValueError, "nonnegative"),
        ({"resources": {"CPU": 1}}, (AssertionError, ValueError), "CPU"),
        ({"resources": {"GPU": 1}}, (AssertionError, ValueError), "GPU"),
        ({"object_store_memory": 1000}, ValueError, "78643200"),
        ({"no_such_thing": 1}, RuntimeError, "no_such_thing"),
        ({"_system_config": "text"}, TypeError, "dict"),
        ({"_temp_dir": "relative/path"}, ValueError, "absolute"),
        ({"namespace": ""}, ValueError, "namespace"),
        ({"namespace": 5}, TypeError, "namespace"),
        ({"local_mode": True}, RuntimeError, "local_mode"),
        ({"address": "nohost"}, ValueError, "nohost"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_arguments_are_refused(fresh_ray, arguments, error, text):
    with pytest.raises(error, match=text):
        ray.init(**arguments)


def test_a_refused_init_leaves_nothing_behind(fresh_ray):
    with pytest.raises(ValueError):
        ray.init(num_cpus=1, object_store_memory=1000)
    assert not ray.is_initialized()
    fresh_ray()
    assert ray.get(one.remote()) == 1


def test_auto_finds_no_cluster(fresh_ray):
    with pytest.raises(ConnectionError):
        ray.init(address="auto")
    assert not ray.is_initialized()


def test_local_starts_a_new_cluster_whatever_runs(fresh_ray, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "local")
    fresh_ray(address="local")
    assert ray.get(one.remote()) == 1


def _driver(code, *arguments, environment=None):
    """Run Python code as another driver and return what it printed; its errors fail the test."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


CONNECT = """
import sys, ray
context = ray.init(address=sys.argv[1] or None, log_to_driver=False)
print(context.address_info["node_id"], ray.get_runtime_context().get_job_id())
"""


def test_another_driver_connects_by_address_and_is_another_job(fresh_ray):
    mine = fresh_ray()
    node, job = _driver(CONNECT, mine.address_info["gcs_address"]).split()
    assert node == mine.address_info["node_id"]
    assert job != ray.get_runtime_context().get_job_id()
    assert ray.get(one.remote()) == 1, "the cluster outlives a driver that only connected"


def test_the_environment_may_name_the_cluster(fresh_ray):
    mine = fresh_ray()
    node, _ = _driver(CONNECT, "", environment={"RAY_ADDRESS": mine.address_info["gcs_address"]}).split()
    assert node == mine.address_info["node_id"]


REFUSE = """
import sys, ray
for arguments in ({"num_cpus": 1}, {"num_gpus": 1}, {"resources": {"a": 1}}, {"object_store_memory": 10**9},
                  {"labels": {"a": "b"}}):
    try:
        ray.init(address=sys.argv[1], **arguments)
    except ValueError as error:
        print("refused")
    else:
        print("accepted", arguments)
"""


def test_resources_cannot_be_given_to_an_existing_cluster(fresh_ray):
    address = fresh_ray().address_info["gcs_address"]
    assert _driver(REFUSE, address).split() == ["refused"] * 5


def test_namespaces_of_anonymous_sessions_are_random(fresh_ray):
    fresh_ray()
    namespace = ray.get_runtime_context().namespace
    assert re.fullmatch(r"[0-9a-f-]{36}", namespace)


def test_a_named_namespace_is_the_sessions(fresh_ray):
    fresh_ray(namespace="rooms")
    assert ray.get_runtime_context().namespace == "rooms"

    @ray.remote
    def namespace():
        return ray.get_runtime_context().namespace

    assert ray.get(namespace.remote()) == "rooms"


@pytest.mark.parametrize(
    "first_call",
    [
        lambda: ray.get([]),
        lambda: ray.put(1),
        lambda: ray.wait([]),
        lambda: one.remote(),
        lambda: Holder.remote(),
        lambda: ray.get_gpu_ids(),
        lambda: ray.get_runtime_context(),
    ],
    ids=["get", "put", "wait", "task", "actor", "get_gpu_ids", "get_runtime_context"],
)
def test_the_first_call_initialises(fresh_ray, first_call):
    first_call()
    assert ray.is_initialized()


@pytest.mark.parametrize("call", ["nodes", "cluster_resources", "available_resources", "timeline"])
def test_state_calls_do_not_initialise(fresh_ray, call):
    # The reference raises RuntimeError for timeline, RaySystemError for the others.
    with pytest.raises((ray.exceptions.RaySystemError, RuntimeError), match="Ray has not been started yet"):
        getattr(ray, call)()
    assert not ray.is_initialized()


AUTO_OFF = """
import ray
for call in (lambda: ray.put(1), lambda: ray.get([])):
    try:
        call()
    except Exception as error:
        print(type(error).__name__, ray.is_initialized())
"""


def test_auto_init_can_be_switched_off(fresh_ray):
    printed = _driver(AUTO_OFF, environment={"RAY_ENABLE_AUTO_CONNECT": "0"}).split()
    assert printed == ["RaySystemError", "False"] * 2


def test_handles_of_an_older_session_are_refused(fresh_ray):
    fresh_ray()
    holder = Holder.remote()
    assert ray.get(holder.get.remote()) == "held"
    ray.shutdown()
    fresh_ray()
    with pytest.raises(ray.exceptions.ActorHandleNotFoundError):
        ray.kill(holder)


def test_shutdown_ends_the_workers(fresh_ray):
    fresh_ray()
    pid = ray.get(_pid.remote())
    assert is_alive(pid)
    ray.shutdown()
    wait_until(lambda: not is_alive(pid))


@ray.remote
def _pid():
    return os.getpid()


LEAVES = """
import os, sys, ray
ray.init(address=sys.argv[1], namespace="leaving", log_to_driver=False)
@ray.remote
class Resident:
    def pid(self):
        return os.getpid()
kept = Resident.options(name="kept", lifetime="detached").remote()
lost = Resident.options(name="lost").remote()
print(*ray.get([kept.pid.remote(), lost.pid.remote()]))
"""


def test_actors_end_with_their_driver_unless_detached(fresh_ray):
    address = fresh_ray(namespace="leaving").address_info["gcs_address"]
    kept, lost = map(int, _driver(LEAVES, address).split())
    wait_until(lambda: not is_alive(lost))
    assert is_alive(kept)
    assert ray.get(ray.get_actor("kept").pid.remote()) == kept
    with pytest.raises(ValueError):
        ray.get_actor("lost")


def test_the_modes_and_the_version_are_public():
    assert (ray.SCRIPT_MODE, ray.WORKER_MODE) == (0, 1)
    assert re.match(r"\d+\.\d+\.\d+", ray.__version__)
    assert isinstance(ray.__commit__, str)


def test_workers_have_the_modules_that_were_asked_for(fresh_ray):
    @ray.remote
    def has(name):
        return name in sys.modules

    fresh_ray(_system_config={"preload_python_modules": ["no_such_module", "wave"]})
    assert ray.get(has.remote("wave"))
