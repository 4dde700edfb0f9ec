"""Each flag of `ray job …`, and what the driver of a submitted job finds: its variables, environment and metadata."""

import json
import os
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
from click.testing import CliRunner
from gone import wait_gone

import ray
from ray.job_submission import JobStatus, JobSubmissionClient
from ray.scripts.scripts import cli
from ray.util.state import list_actors

DEADLINE_S = 60


@pytest.fixture(scope="module")
def url():
    ray.shutdown()
    shape = {"num_cpus": 2, "resources": {"special": 2}, "labels": {"zone": "a"}}
    context = ray.init(**shape, object_store_memory=100 << 20, dashboard_port=0)
    yield f"http://{context.dashboard_url}"
    processes = psutil.Process().children(recursive=True)
    ray.shutdown()
    assert wait_gone(processes, timeout=10) == []


def command(url, *arguments, code=0, **env):
    result = CliRunner().invoke(cli, ["job", *arguments], env={"RAY_API_SERVER_ADDRESS": url, **env})
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def wait_for(url, job_id, *statuses):
    client = JobSubmissionClient(url)
    deadline_at_s = time.monotonic() + DEADLINE_S
    while (info := client.get_job_info(job_id)).status not in statuses:
        assert time.monotonic() < deadline_at_s and not info.status.is_terminal(), info
        time.sleep(0.05)
    return info


DRIVER = """
import json, os, sys
import ray

ray.init()

@ray.remote(num_cpus=0)
class Actor:
    def look(self):
        return os.environ["FROM_JOB"], os.environ.get("OF_ACTOR"), os.path.exists("driver.py"), ray.get(task.remote())

@ray.remote(num_cpus=0)
def task():
    return os.environ["FROM_JOB"], os.environ.get("OF_ACTOR"), os.path.exists("driver.py")

actor = Actor.options(runtime_env={"env_vars": {"OF_ACTOR": "too"}}).remote()
told = json.loads(os.environ["RAY_JOB_CONFIG_JSON_ENV_VAR"])
print("TOLD", json.dumps([
    ray.get(task.remote()), ray.get(actor.look.remote()), told["metadata"], told["runtime_env"]["env_vars"],
    os.environ["RAY_ADDRESS"] == ray.get_runtime_context().gcs_address, os.environ["PYTHONUNBUFFERED"],
    os.path.basename(os.getcwd()).startswith("_ray_pkg_"), sys.argv[1:],
]))
"""


def test_a_job_with_all_flags(url, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/driver.py").write_text(DRIVER)
    (tmp_path / "env.yaml").write_text("env_vars: {FROM_JOB: 'yes'}\nworking_dir: /nowhere/at/all\n")
    flags = {
        "--submission-id": "all-flags",
        "--runtime-env": str(tmp_path / "env.yaml"),
        "--working-dir": str(tmp_path / "work"),
        "--metadata-json": '{"owner": "me"}',
        "--entrypoint-num-cpus": "0.5",
        "--entrypoint-num-gpus": "0",
        "--entrypoint-memory": "1000000",
        "--entrypoint-resources": '{"special": 1}',
        "--entrypoint-label-selector": '{"zone": "a"}',
        "--address": url,
        "--headers": '{"X-Mine": "1"}',
        "--verify": "false",
    }
    given = [text for pair in flags.items() for text in pair]
    said = command("http://127.0.0.1:1", "submit", *given, "--", sys.executable, "driver.py", "an argument")
    assert "Overriding runtime_env working_dir with --working-dir option" in said
    told = json.loads(said.partition("TOLD ")[2].splitlines()[0])
    metadata = {"owner": "me", "job_name": "all-flags", "job_submission_id": "all-flags"}
    task, actor = ["yes", None, True], ["yes", "too", True, ["yes", "too", True]]
    assert told == [task, actor, metadata, {"FROM_JOB": "yes"}, True, "1", True, ["an argument"]]
    assert "Job 'all-flags' succeeded" in said
    [supervisor] = list_actors(filters=[("name", "=", "_ray_internal_job_actor_all-flags")], detail=True)
    wanted = {"CPU": 0.5, "memory": 1000000, "special": 1}
    assert {name: supervisor.required_resources[name] for name in wanted} == wanted
    assert supervisor.label_selector == {"zone": "a"}
    assert json.loads(supervisor.serialized_runtime_env)["env_vars"] == {"FROM_JOB": "yes"}
    assert JobSubmissionClient(url).get_job_info("all-flags").metadata == {"owner": "me"}


def test_the_environment_as_json_and_the_older_name_of_the_id(url):
    environment = '{"env_vars": {"A": "from json"}}'
    said = command(
        url, "submit", "--job-id", "old-name", "--runtime-env-json", environment, "--", "sh", "-c", "echo $A"
    )
    assert "--job-id option is deprecated" in said and "from json\n" in said and "Job 'old-name' succeeded" in said
    assert "from json\n" in command(url, "logs", "--follow", "old-name")
    bad = command(url, "submit", "--metadata-json", "[1]", "--", "true", code=1)
    assert "--metadata-json is a JSON object" in bad
    assert "--entrypoint-resources is JSON" in command(
        url, "submit", "--entrypoint-resources", "x", "--", "true", code=1
    )


def test_headers_may_come_by_the_environment(url):
    wrong = {"RAY_JOB_HEADERS": json.dumps({"Authorization": "Bearer wrong"})}
    result = CliRunner().invoke(cli, ["job", "list"], env={"RAY_API_SERVER_ADDRESS": url, **wrong})
    assert "status code 403" in result.output


def test_a_hook_is_told_what_is_submitted(url, monkeypatch):
    told = []
    monkeypatch.setitem(sys.modules, "hooks_of_the_site", SimpleNamespace(hook=lambda **given: told.append(given)))
    flags = ("--submission-id", "hooked", "--no-wait", "--entrypoint-num-cpus", "0")
    command(url, "submit", *flags, "--", "echo", "x", RAY_JOB_SUBMIT_HOOK="hooks_of_the_site.hook")
    [given] = told
    assert (given["submission_id"], given["entrypoint"], given["no_wait"]) == ("hooked", ("echo", "x"), True)
    assert given["runtime_env"] is given["working_dir"] is None
    wait_for(url, "hooked", JobStatus.SUCCEEDED)


def test_stop_without_waiting_by_the_signal_that_is_wanted(url):
    environment = '{"env_vars": {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": "30"}}'
    trap = "trap 'echo interrupted; exit 0' INT; echo waits; while :; do sleep 0.05; done"
    arguments = ["--no-wait", "--submission-id", "stopped", "--runtime-env-json", environment]
    command(url, "submit", *arguments, "--", "sh", "-c", trap)
    client = JobSubmissionClient(url)
    deadline_at_s = time.monotonic() + DEADLINE_S
    while "waits" not in client.get_job_logs("stopped"):
        assert time.monotonic() < deadline_at_s
        time.sleep(0.02)
    said = command(url, "stop", "--no-wait", "stopped")
    assert "Attempting to stop job 'stopped'" in said and "Waiting for job" not in said
    wait_for(url, "stopped", JobStatus.STOPPED)
    assert client.get_job_logs("stopped").endswith("interrupted\n")
    assert client.delete_job("stopped") is True
    with pytest.raises(RuntimeError, match="404"):
        client.stop_job("stopped")


def test_a_driver_may_win_over_its_job_if_it_is_said_so(url, tmp_path):
    (tmp_path / "d.py").write_text(
        "import os, ray\n"
        "ray.init(runtime_env={'env_vars': {'A': 'of the driver'}})\n"
        "print(ray.get(ray.remote(lambda: os.environ['A']).remote()))\n"
    )
    env = {"env_vars": {"A": "of the job", "RAY_OVERRIDE_JOB_RUNTIME_ENV": "1"}}
    client = JobSubmissionClient(url, metadata={"from": "client"})
    job_id = client.submit_job(entrypoint=f"{sys.executable} {tmp_path}/d.py", runtime_env=env)
    info = wait_for(url, job_id, JobStatus.SUCCEEDED)
    assert "of the driver\n" in client.get_job_logs(job_id) and info.metadata == {"from": "client"}
    assert (client.get_version(), client.get_address()) == ("4", url)


def test_packages_are_stored_once(url):
    client = JobSubmissionClient(url)
    path = "/api/packages/gcs/_ray_pkg_0123456789abcdef.zip"
    assert client._do_request("GET", path).status_code == 404
    assert client._do_request("PUT", path, data=os.urandom(1000)).status_code == 200
    assert client._do_request("GET", path).status_code == 200
    assert client._do_request("GET", path.replace("/gcs/", "/s3/")).status_code == 400
