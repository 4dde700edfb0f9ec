"""Jobs across versions: the original Ray 2.60's SDK and command line on our head, and ours on an original dashboard.

Run where RAY_ORIGINAL_PYTHON names a Python that has Ray 2.60 with its job SDK installed.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import ray

ORIGINAL = os.environ.get("RAY_ORIGINAL_PYTHON", "")
pytestmark = pytest.mark.skipif(not ORIGINAL, reason="RAY_ORIGINAL_PYTHON names no Python with the original Ray")

PROGRAM = """
import asyncio, json, sys, time
from ray.job_submission import JobSubmissionClient

url, python, directory = sys.argv[1:]
client = JobSubmissionClient(url)

def end_of(job_id):
    while not client.get_job_status(job_id).is_terminal():
        time.sleep(0.05)
    info = client.get_job_info(job_id)
    return [info.status.value, info.driver_exit_code, info.error_type, info.metadata]

async def tail(job_id):
    return "".join([text async for text in client.tail_job_logs(job_id)])

env = {"working_dir": directory, "env_vars": {"A": "1"}}
good = client.submit_job(entrypoint=f"{python} script.py", runtime_env=env, metadata={"x": "y"})
followed = client.submit_job(entrypoint="echo first; sleep 0.5; echo last")
bad = client.submit_job(entrypoint="exit 3")
slow = client.submit_job(entrypoint="sleep 100", entrypoint_num_cpus=0.5)
told = asyncio.run(tail(followed))
while client.get_job_status(slow).value != "RUNNING":
    time.sleep(0.05)
print(json.dumps([
    end_of(good), "says 1 True" in client.get_job_logs(good),
    told.startswith("first\\n") or "\\nfirst\\n" in told, told.endswith("last\\n"),
    end_of(bad), client.stop_job(slow), end_of(slow)[0], client.delete_job(slow),
    {str(job.type.value) for job in client.list_jobs()} == {"DRIVER", "SUBMISSION"},
]))
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "script.py").write_text(
        "import os, ray\n"
        "ray.init()\n"
        "print('says', ray.get(ray.remote(lambda: os.environ['A']).remote()), os.path.exists('script.py'))\n"
    )
    return tmp_path


def check(done):
    """What the program says is the same on each side."""
    assert done.returncode == 0, done.stderr
    good, *rest = json.loads(done.stdout.splitlines()[-1])
    assert good == ["SUCCEEDED", 0, None, {"x": "y"}]
    failed = ["FAILED", 3, "JOB_ENTRYPOINT_COMMAND_ERROR", {}]
    assert rest == [True, True, True, failed, True, "STOPPED", True, True]


@pytest.mark.timeout(300)
def test_our_sdk_on_an_original_dashboard(project):
    code = (
        "import ray, sys\n"
        "context = ray.init(num_cpus=4, include_dashboard=True, object_store_memory=300 << 20, dashboard_port=0)\n"
        "print('serves', context.dashboard_url, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with tempfile.TemporaryDirectory(prefix="rt", dir="/tmp") as directory:  # short: sockets lie below it
        env = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_TMPDIR": directory}
        own = env.pop("PYTHONPATH", "")
        with open(f"{directory}/errors", "w") as errors:
            server = subprocess.Popen(
                [ORIGINAL, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        with server:
            said = server.stdout.readline()
            assert said.startswith("serves "), Path(directory, "errors").read_text()
            url = said.split()[1]
            command = [sys.executable, "-c", PROGRAM, f"http://{url}", ORIGINAL, str(project)]
            env["PYTHONPATH"] = own
            check(subprocess.run(command, env=env, capture_output=True, text=True, timeout=200, cwd="/"))
            server.stdin.close()
            assert server.wait(60) == 0


def test_the_originals_sdk_on_our_head(project):
    context = ray.init(num_cpus=2, object_store_memory=100 << 20, dashboard_port=0)
    try:
        env = {**os.environ, "RAY_AUTH_MODE": "token"}
        env.pop("PYTHONPATH", None)
        url = f"http://{context.dashboard_url}"
        command = [ORIGINAL, "-c", PROGRAM, url, sys.executable, str(project)]
        check(subprocess.run(command, env=env, capture_output=True, text=True, timeout=100, cwd="/"))
        submit = [ORIGINAL, "-m", "ray.scripts.scripts", "job", "submit", "--address", url, "--", "echo", "by command"]
        done = subprocess.run(submit, env=env, capture_output=True, text=True, timeout=60, cwd="/")
        assert done.returncode == 0 and "by command\n" in done.stdout and "succeeded" in done.stdout, done.stderr
    finally:
        ray.shutdown()
