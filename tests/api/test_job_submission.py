"""Submitted jobs: SDK and REST. Source: Ray docs, "Ray Jobs"."""

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from helpers import Gate, wait_until

import ray
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient, JobType

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def client() -> Iterator[JobSubmissionClient]:
    ray.shutdown()
    context = ray.init(num_cpus=2, object_store_memory=256 << 20, include_dashboard=True)
    yield JobSubmissionClient(f"http://{context.dashboard_url}")
    ray.shutdown()


def wait_for_end(client: JobSubmissionClient, job_id: str) -> JobDetails:
    wait_until(lambda: client.get_job_status(job_id).is_terminal(), DEADLINE_S)
    return client.get_job_info(job_id)


@pytest.mark.timeout(120)
def test_a_job_that_succeeds(client: JobSubmissionClient, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import os, ray\n"
        "ray.init()\n"
        "@ray.remote\n"
        "def f():\n"
        "    return os.environ['A'], os.path.exists('script.py')\n"
        "print('answer', ray.get(f.remote()))\n"
    )
    job_id = client.submit_job(
        entrypoint=f"{sys.executable} script.py",
        runtime_env={"working_dir": str(tmp_path), "env_vars": {"A": "1"}},
        metadata={"a": "b"},
    )
    assert re.fullmatch(r"raysubmit_[A-Za-z0-9]{16}", job_id)
    info = wait_for_end(client, job_id)
    assert "answer ('1', True)" in client.get_job_logs(job_id)
    assert info.type == JobType.SUBMISSION and info.submission_id == job_id and info.status == JobStatus.SUCCEEDED
    assert info.message == "Job finished successfully." and info.error_type is None
    assert info.metadata == {"a": "b"} and info.driver_exit_code == 0
    assert info.start_time is not None and info.end_time is not None and info.start_time < info.end_time
    assert info.runtime_env is not None and info.runtime_env["working_dir"].startswith("gcs://_ray_pkg_")
    assert info.driver_info is not None and info.job_id == info.driver_info.id
    assert job_id in [job.submission_id for job in client.list_jobs()]


@pytest.mark.timeout(120)
def test_a_job_that_fails(client: JobSubmissionClient) -> None:
    job_id = client.submit_job(entrypoint="echo the last words; exit 3", submission_id="fails")
    assert job_id == "fails"
    info = wait_for_end(client, job_id)
    assert info.status == JobStatus.FAILED and info.error_type == "JOB_ENTRYPOINT_COMMAND_ERROR"
    assert info.message is not None and "failed with exit code 3" in info.message and "the last words" in info.message
    assert info.driver_exit_code == 3
    with pytest.raises(RuntimeError, match="already exists"):
        client.submit_job(entrypoint="echo", submission_id="fails")


@pytest.mark.timeout(120)
def test_a_job_that_is_stopped(client: JobSubmissionClient, gate: Gate) -> None:
    job_id = client.submit_job(entrypoint=f"touch {gate._path}; sleep 1000")
    wait_until(gate.is_open, DEADLINE_S)
    assert client.get_job_status(job_id) == JobStatus.RUNNING
    assert client.get_job_info(job_id).message == "Job is currently running."
    with pytest.raises(RuntimeError):
        client.delete_job(job_id)
    assert client.stop_job(job_id) is True
    info = wait_for_end(client, job_id)
    assert info.status == JobStatus.STOPPED and info.message == "Job was intentionally stopped."
    assert client.stop_job(job_id) is False
    assert client.delete_job(job_id) is True
    with pytest.raises(RuntimeError, match=f"status code 404: Job {job_id} does not exist"):
        client.get_job_status(job_id)


@pytest.mark.timeout(120)
def test_an_environment_that_cannot_be_built(client: JobSubmissionClient) -> None:
    job_id = client.submit_job(entrypoint="echo", runtime_env={"working_dir": "gcs://_ray_pkg_none.zip"})
    info = wait_for_end(client, job_id)
    assert info.status == JobStatus.FAILED and info.error_type == "RUNTIME_ENV_SETUP_FAILURE"
    assert info.message is not None and "Failed to set up runtime environment" in info.message


@pytest.mark.timeout(120)
def test_what_job_and_driver_both_set_is_a_conflict(client: JobSubmissionClient, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import ray; ray.init(runtime_env={'env_vars': {'A': '2'}})")
    entrypoint = f"{sys.executable} {script}"
    job_id = client.submit_job(entrypoint=entrypoint, runtime_env={"env_vars": {"A": "1"}})
    assert wait_for_end(client, job_id).status == JobStatus.FAILED
    assert "Failed to merge the Job's runtime env" in client.get_job_logs(job_id)


@pytest.mark.timeout(120)
def test_logs_are_followed_to_the_end(client: JobSubmissionClient, gate: Gate) -> None:
    job_id = client.submit_job(entrypoint=f"echo first; while ! [ -e {gate._path} ]; do sleep 0.1; done; echo last")

    async def follow() -> str:
        text = ""
        async for part in client.tail_job_logs(job_id):
            text += part
            if "first" in text:
                gate.open()
        return text

    text = asyncio.run(asyncio.wait_for(follow(), DEADLINE_S))
    assert "first\n" in text and text.endswith("last\n")


def test_wrong_arguments(client: JobSubmissionClient) -> None:
    with pytest.raises(TypeError):
        client.submit_job(entrypoint=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Only \.zip"):
        client.submit_job(entrypoint="echo", runtime_env={"working_dir": "s3://no_archive"})
    with pytest.raises(ConnectionError):
        JobSubmissionClient("http://127.0.0.1:1")


def rest(client: JobSubmissionClient, method: str, path: str, **kwargs: Any) -> requests.Response:
    return client._do_request(method, path, **kwargs)


def test_codes_and_bodies(client: JobSubmissionClient) -> None:
    version = rest(client, "GET", "/api/version").json()
    assert version["version"] == "4" and version["ray_version"] == ray.__version__
    assert rest(client, "POST", "/api/jobs/", json_data={"key": "no such field"}).status_code == 400
    wrong_type = rest(client, "POST", "/api/jobs/", json_data={"entrypoint": 5})
    assert wrong_type.status_code == 400 and "entrypoint must be a string, got <class 'int'>" in wrong_type.text
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/stop"), ("GET", "/logs")):
        missing = rest(client, method, f"/api/jobs/none{path}")
        assert (missing.status_code, missing.text) == (404, "Job none does not exist")
    package = rest(client, "GET", "/api/packages/gcs/none.zip")
    assert (package.status_code, package.text) == (404, "Package gcs://none.zip does not exist")
    nodes = rest(client, "GET", "/api/v0/nodes").json()
    assert nodes["result"] is True and nodes["data"]["result"]["total"] == 1
    assert nodes["data"]["result"]["result"][0]["state"] == "ALIVE"
    health = rest(client, "GET", "/api/gcs_healthz")
    assert (health.status_code, health.text) == (200, "success")
