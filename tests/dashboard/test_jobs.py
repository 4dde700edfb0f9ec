"""Jobs on a real cluster, through the REST API: SDK and command line."""

import asyncio
import os
import re
import shlex
import sys
import time
import urllib.request

import psutil
import pytest
import requests
from click.testing import CliRunner
from gone import wait_gone

import ray
from ray._core.common.packages import PART_SIZE
from ray._core.wire import auth
from ray.job_submission import JobStatus, JobSubmissionClient, JobType
from ray.scripts.scripts import cli
from ray.util.state import list_tasks

DEADLINE_S = 60


@pytest.fixture(scope="module")
def url():
    """The dashboard of a cluster which the tests of this module share."""
    ray.shutdown()
    context = ray.init(num_cpus=2, object_store_memory=100 << 20, dashboard_port=0)
    yield f"http://{context.dashboard_url}"
    processes = psutil.Process().children(recursive=True)
    ray.shutdown()
    assert wait_gone(processes, timeout=10) == []


@pytest.fixture
def client(url):
    return JobSubmissionClient(url)


def wait_for(client, job_id, *statuses):
    deadline_at_s = time.monotonic() + DEADLINE_S
    while (info := client.get_job_info(job_id)).status not in statuses:
        assert time.monotonic() < deadline_at_s and not info.status.is_terminal(), info
        time.sleep(0.05)
    return info


def is_alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_nothing_runs_before_the_first_connection():
    context = ray.init(num_cpus=1, object_store_memory=100 << 20, dashboard_port=0)
    try:
        commands = [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
        assert not any("ray.dashboard" in command for command in commands)
        with urllib.request.urlopen(f"http://{context.dashboard_url}/api/gcs_healthz", timeout=DEADLINE_S) as answer:
            assert answer.read() == b"success"
        commands = [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
        assert sum("ray.dashboard" in command for command in commands) == 1
    finally:
        ray.shutdown()


def test_a_job_runs_a_driver_in_its_environment(client, tmp_path):
    (tmp_path / "script.py").write_text(
        "import os, ray\n"
        "ray.init()\n"
        "@ray.remote\n"
        "def f():\n"
        "    return os.path.exists('script.py') and os.path.getsize('noise') > 1_000_000, os.environ['A']\n"
        "print('says', ray.get(f.remote()), ray.get_runtime_context().runtime_env['env_vars'])\n"
    )
    (tmp_path / "noise").write_bytes(os.urandom(PART_SIZE))  # so that the package is stored in parts
    env = {"working_dir": str(tmp_path), "env_vars": {"A": "1"}}
    job_id = client.submit_job(entrypoint=f"{sys.executable} script.py", runtime_env=env, metadata={"who": "me"})
    assert re.fullmatch(r"raysubmit_[A-Za-z0-9]{16}", job_id)
    info = wait_for(client, job_id, JobStatus.SUCCEEDED)
    assert "says (True, '1') {'A': '1'}" in client.get_job_logs(job_id)
    assert info.message == "Job finished successfully." and info.driver_exit_code == 0
    assert (info.type, info.metadata, info.submission_id) == (JobType.SUBMISSION, {"who": "me"}, job_id)
    assert info.runtime_env["working_dir"].startswith("gcs://_ray_pkg_")
    assert info.driver_info is not None and info.driver_info.id == info.job_id
    assert info.start_time < info.end_time
    assert client.get_job_info(info.job_id) == info
    listed = client.list_jobs()
    assert info in listed
    assert [job for job in listed if job.type is JobType.DRIVER], "this test's own driver"


def test_a_driver_that_contradicts_its_job_is_refused(client, tmp_path):
    code = "import ray; ray.init(runtime_env={'env_vars': {'A': '2'}})"
    (tmp_path / "script.py").write_text(code)
    entrypoint = f"{sys.executable} {tmp_path}/script.py"
    job_id = client.submit_job(entrypoint=entrypoint, runtime_env={"env_vars": {"A": "1"}})
    info = wait_for(client, job_id, JobStatus.FAILED)
    assert "Failed to merge the Job's runtime env" in client.get_job_logs(job_id)
    assert info.error_type == "JOB_ENTRYPOINT_COMMAND_ERROR"


def test_a_failing_command_tells_its_code_and_last_lines(client):
    job_id = client.submit_job(entrypoint="echo out; echo err >&2; exit 3", submission_id="fails")
    info = wait_for(client, job_id, JobStatus.FAILED)
    assert info.message.startswith("Job entrypoint command failed with exit code 3, last available logs")
    assert "out\nerr\n" in info.message and info.driver_exit_code == 3
    with pytest.raises(RuntimeError, match=r"(?s)status code 400.*Job with submission_id fails already exists"):
        client.submit_job(entrypoint="echo again", submission_id="fails")


def test_an_environment_that_cannot_be_built_fails_the_job(client):
    job_id = client.submit_job(entrypoint="echo never", runtime_env={"working_dir": "gcs://_ray_pkg_none.zip"})
    info = wait_for(client, job_id, JobStatus.FAILED)
    assert info.error_type == "RUNTIME_ENV_SETUP_FAILURE"
    assert info.message.startswith("runtime_env setup failed: Failed to set up runtime environment.")


def test_stop_ends_the_whole_tree_even_if_it_does_not_want_to(client, tmp_path):
    pids = tmp_path / "pids"
    stubborn = f"trap '' TERM; echo $$ >> {pids}; while :; do sleep 0.1; done"
    command = f"trap '' TERM; sh -c {shlex.quote(stubborn)} & {stubborn}"
    job_id = client.submit_job(entrypoint=command, runtime_env={"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "0.3"}})
    deadline_at_s = time.monotonic() + DEADLINE_S
    while not pids.exists() or len(pids.read_text().split()) < 2:
        assert time.monotonic() < deadline_at_s
        time.sleep(0.05)
    with pytest.raises(RuntimeError, match=r"(?s)status code 500.*non-terminal state"):
        client.delete_job(job_id)
    assert client.stop_job(job_id) is True
    assert wait_for(client, job_id, JobStatus.STOPPED).message == "Job was intentionally stopped."
    assert [pid for pid in pids.read_text().split() if is_alive(int(pid))] == []
    assert client.stop_job(job_id) is False
    assert client.delete_job(job_id) is True
    with pytest.raises(RuntimeError, match=f"status code 404: Job {job_id} does not exist"):
        client.get_job_info(job_id)


def test_a_supervisor_that_is_killed_fails_its_job(client, tmp_path):
    pid_file = tmp_path / "pid"
    job_id = client.submit_job(entrypoint=f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; sleep 1000")
    deadline_at_s = time.monotonic() + DEADLINE_S
    while not pid_file.exists():
        assert time.monotonic() < deadline_at_s
        time.sleep(0.02)
    name = f"_ray_internal_job_actor_{job_id}"
    ray.kill(ray.get_actor(name, namespace="SUPERVISOR_ACTOR_RAY_NAMESPACE"))
    info = wait_for(client, job_id, JobStatus.FAILED)
    assert info.error_type == "JOB_SUPERVISOR_ACTOR_DIED"
    deadline_at_s = time.monotonic() + DEADLINE_S
    while is_alive(int(pid_file.read_text())):  # the entrypoint does not outlive it
        assert time.monotonic() < deadline_at_s
        time.sleep(0.02)


def test_resources_are_held_by_the_entrypoint(client):
    job_id = client.submit_job(entrypoint="sleep 1000", entrypoint_num_cpus=2)
    wait_for(client, job_id, JobStatus.RUNNING)
    deadline_at_s = time.monotonic() + DEADLINE_S
    while ray.available_resources().get("CPU"):
        assert time.monotonic() < deadline_at_s
        time.sleep(0.05)
    client.stop_job(job_id)
    wait_for(client, job_id, JobStatus.STOPPED)


def test_logs_are_tailed_while_the_job_runs(client, tmp_path):
    gate = tmp_path / "gate"
    job_id = client.submit_job(entrypoint=f"echo first; while ! [ -e {gate} ]; do sleep 0.05; done; echo läst")

    async def tail():
        text = ""
        async for part in client.tail_job_logs(job_id):
            text += part
            if "first" in text and not gate.exists():
                assert not client.get_job_status(job_id).is_terminal()
                gate.touch()
        return text

    text = asyncio.run(asyncio.wait_for(tail(), DEADLINE_S))
    assert text.endswith("first\nläst\n")
    assert client.get_job_logs(job_id) == text


# ------------------------------------------------------------------ HTTP itself


def test_version_health_and_lists(url):
    headers = {"Authorization": f"Bearer {auth.load_token().decode()}"}
    version = requests.get(f"{url}/api/version", headers=headers, timeout=DEADLINE_S).json()
    assert version["version"] == "4" and version["ray_version"] == ray.__version__
    assert version["session_name"].startswith("session_")
    nodes = requests.get(f"{url}/api/v0/nodes", headers=headers, timeout=DEADLINE_S).json()
    assert nodes["result"] is True and nodes["data"]["result"]["total"] == 1
    node = nodes["data"]["result"]["result"][0]
    assert node["is_head_node"] and node["state"] == "ALIVE" and node["resources_total"]["CPU"] == 2
    query = "filter_keys=state&filter_predicates=%21%3D&filter_values=alive"
    answer = requests.get(f"{url}/api/v0/nodes?{query}", headers=headers, timeout=DEADLINE_S).json()
    assert answer["data"]["result"]["result"] == []
    refused = requests.get(f"{url}/api/v0/nodes?limit=10001", headers=headers, timeout=DEADLINE_S)
    assert refused.status_code == 400 and "exceeds the supported limit" in refused.json()["msg"]
    actors = requests.get(f"{url}/api/v0/actors", headers=headers, timeout=DEADLINE_S).json()["data"]["result"]
    assert actors["total"] >= 1, "supervisors of jobs before"
    jobs = requests.get(f"{url}/api/v0/jobs?detail=1", headers=headers, timeout=DEADLINE_S).json()["data"]["result"]
    assert {job["type"] for job in jobs["result"]} == {"SUBMISSION", "DRIVER"}
    for path in ("tasks/summarize", "actors/summarize", "cluster_metadata", "runtime_envs"):
        answer = requests.get(f"{url}/api/v0/{path}", headers=headers, timeout=DEADLINE_S)
        assert answer.status_code == 200 and answer.json()["result"] is True, answer.text
    assert requests.get(f"{url}/api/v0/nonsense", headers=headers, timeout=DEADLINE_S).status_code == 400
    activities = requests.get(f"{url}/api/component_activities", headers=headers, timeout=DEADLINE_S).json()
    assert activities["driver"]["is_active"] == "ACTIVE"
    assert isinstance(requests.get(f"{url}/api/v0/tasks/timeline", headers=headers, timeout=DEADLINE_S).json(), list)
    where = f"node_id={node['node_id']}"
    names = requests.get(f"{url}/api/v0/logs?{where}&glob=raylet*", headers=headers, timeout=DEADLINE_S).json()
    assert "raylet.err" in names["data"]["result"]["raylet"]
    log = requests.get(f"{url}/api/v0/logs/file?submission_id=fails&{where}", headers=headers, timeout=DEADLINE_S)
    assert log.text.endswith("out\nerr\n")
    summary = requests.get(f"{url}/nodes?view=summary", headers=headers, timeout=DEADLINE_S).json()
    assert summary["data"]["summary"][0]["raylet"]["nodeId"] == node["node_id"]


def test_agents_paths_do_the_same(url):
    headers = {"Authorization": f"Bearer {auth.load_token().decode()}"}

    def ask(method, path, **body):
        return requests.request(
            method, f"{url}/api/job_agent/jobs/{path}", headers=headers, timeout=DEADLINE_S, json=body
        )

    submitted = ask("POST", "", entrypoint="sleep 100", submission_id="by-agent").json()
    assert submitted == {"job_id": "by-agent", "submission_id": "by-agent"}
    wait_for(JobSubmissionClient(url), "by-agent", JobStatus.RUNNING)
    assert "Running entrypoint" in ask("GET", "by-agent/logs").json()["logs"]
    assert ask("POST", "by-agent/stop").json() == {"stopped": True}
    wait_for(JobSubmissionClient(url), "by-agent", JobStatus.STOPPED)
    assert ask("DELETE", "by-agent").json() == {"deleted": True}
    assert ask("DELETE", "by-agent").status_code == 404


def test_the_token_is_asked_for(url):
    assert auth.load_token(), "this test wants a cluster with a token"
    assert requests.get(f"{url}/api/jobs/", timeout=DEADLINE_S).status_code == 401
    wrong = {"Authorization": "Bearer wrong"}
    assert requests.get(f"{url}/api/jobs/", headers=wrong, timeout=DEADLINE_S).status_code == 403
    with pytest.raises(RuntimeError, match="status code 403"):
        JobSubmissionClient(url, headers=wrong)


def test_a_dashboard_that_is_not_there_is_a_connection_error():
    with pytest.raises(ConnectionError, match=r"Failed to connect to Ray at address: http://127\.0\.0\.1:1\."):
        JobSubmissionClient("127.0.0.1:1")


def test_the_command_tells_by_a_line_that_no_dashboard_is_there():
    result = CliRunner().invoke(cli, ["job", "list", "--address", "http://127.0.0.1:1"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: Failed to connect to Ray at address: http://127.0.0.1:1.\nGive ")


# ------------------------------------------------------------------ the command line


def command(url, *arguments, code=0):
    result = CliRunner().invoke(cli, ["job", *arguments], env={"RAY_API_SERVER_ADDRESS": url})
    assert result.exit_code == code, result.output
    return result.output


def test_submit_follows_the_logs_and_ends_as_the_job_does(url):
    said = command(url, "submit", "--submission-id", "cli-good", "--", "echo", "a b")
    assert f"Job submission server address: {url}" in said
    assert "Job 'cli-good' submitted successfully" in said
    assert "ray job logs cli-good" in said and "ray job stop cli-good" in said
    assert "a b\n" in said and "Job 'cli-good' succeeded" in said
    said = command(url, "submit", "--submission-id", "cli-bad", "--", "sh", "-c", "exit 4", code=1)
    assert "Job 'cli-bad' failed" in said and "Status message: Job entrypoint command failed with exit code 4" in said
    assert not [task for task in list_tasks(cluster_address()) if "JobSupervisor" in task.name]


def cluster_address():
    return ray.get_runtime_context().gcs_address


def test_the_other_commands(url, tmp_path):
    (tmp_path / "env.yaml").write_text("env_vars:\n  A: from yaml\n")
    arguments = ["--no-wait", "--submission-id", "cli-long", "--runtime-env", str(tmp_path / "env.yaml")]
    command(url, "submit", *arguments, "--metadata-json", '{"a": "b"}', "--", "sh", "-c", "echo $A; exec sleep 1000")
    client = JobSubmissionClient(url)
    wait_for(client, "cli-long", JobStatus.RUNNING)
    assert "Status for job 'cli-long': RUNNING" in command(url, "status", "cli-long")
    said = command(url, "stop", "cli-long")
    assert "Attempting to stop job 'cli-long'" in said and "Job 'cli-long' was stopped" in said
    assert "from yaml\n" in command(url, "logs", "cli-long")
    logs = CliRunner().invoke(cli, ["logs", "job", "--id", "cli-long", "--address", cluster_address()])
    assert logs.output.endswith("from yaml\n"), logs.output
    assert "submission_id='cli-long'" in command(url, "list")
    assert "Job 'cli-long' deleted successfully" in command(url, "delete", "cli-long")
    result = CliRunner().invoke(cli, ["job", "status", "cli-long"], env={"RAY_API_SERVER_ADDRESS": url})
    assert (
        result.exit_code == 1
        and "Error: Request failed with status code 404: Job cli-long does not exist" in result.output
    )
    both = ["--runtime-env", str(tmp_path / "env.yaml"), "--runtime-env-json", "{}"]
    assert "Only one of --runtime_env and --runtime-env-json" in command(url, "submit", *both, "--", "true", code=1)


def test_a_dashboard_that_dies_harms_no_job(client, url, tmp_path):
    gate = tmp_path / "gate"
    job_id = client.submit_job(entrypoint=f"while ! [ -e {gate} ]; do sleep 0.05; done; exit 5")
    wait_for(client, job_id, JobStatus.RUNNING)
    children = psutil.Process().children(recursive=True)
    dashboard = next(each for each in children if "ray.dashboard.dashboard" in each.cmdline())
    dashboard.kill()
    gate.touch()
    # The next connection waits for the next dashboard, which starts a moment later.
    info = wait_for(JobSubmissionClient(url), job_id, JobStatus.FAILED)
    assert info.driver_exit_code == 5


def test_no_program_of_a_job_is_left(url):
    """Runs last: whatever the tests before started has ended."""
    mine = psutil.Process()
    left = [p for p in mine.children(recursive=True) if "sleep" in " ".join(p.cmdline()) and p.pid != os.getpid()]
    assert left == []
