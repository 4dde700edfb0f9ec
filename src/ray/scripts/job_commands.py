"""`ray job …`: submit, status, stop, list, logs, delete.

Source: Ray docs, "Ray Jobs CLI"; the texts are those of Ray 2.60, since scripts read them.
"""

from __future__ import annotations

import asyncio
import json
import pprint
import shlex
import sys
import time
from typing import Any

import click

from ray._private import hooks
from ray.dashboard.modules.dashboard_sdk import parse_runtime_env_args
from ray.dashboard.modules.job.common import JobStatus
from ray.dashboard.modules.job.sdk import JobSubmissionClient
from ray.scripts.output import out, output_options, with_options

POLL_S = 1.0
"""How often `ray job stop` asks whether the job has ended."""

WHERE_TO_LOOK = (
    "Give the dashboard's address by --address or RAY_API_SERVER_ADDRESS: `ray start --head` prints it, and so does "
    "the `dashboard_url` of what ray.init() returns."
)


_connection_options = with_options(
    output_options,
    click.option("--address", help="Of the dashboard; default: RAY_API_SERVER_ADDRESS, RAY_ADDRESS, localhost:8265."),
    click.option(
        "--verify", default="true", help="TLS certificates: true, false, or the path of a bundle of certificates."
    ),
    click.option("--headers", help="Headers of each request, JSON; default: RAY_JOB_HEADERS."),
)


def _client(address: str | None, verify: str, headers: str | None, *, create: bool = False) -> JobSubmissionClient:
    """Connect, and say where to."""
    known: dict[str, bool] = {"true": True, "1": True, "false": False, "0": False}
    client = JobSubmissionClient(
        address,
        create_cluster_if_needed=create,
        headers=_json("--headers", headers),
        verify=known.get(verify.lower(), verify),
    )
    out.print(f"Job submission server address: {client.get_address()}")
    return client


def _json(flag: str, text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.ClickException(f"{flag} is JSON: {error}") from error
    if not isinstance(value, dict):
        raise click.ClickException(f"{flag} is a JSON object, not {text!r}.")
    return value


class _Jobs(click.Group):
    """Tells what a command could not do, and why, by a line instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConnectionError as error:
            raise click.ClickException(f"{error}\n{WHERE_TO_LOOK}") from error
        except RuntimeError as error:
            if isinstance(error, (click.exceptions.Exit, click.Abort)):  # they are RuntimeErrors, and no failures
                raise
            raise click.ClickException(str(error)) from error


@click.group("job", cls=_Jobs)
def job() -> None:
    """Submit, stop and look at jobs."""


@job.command()
@click.option("--submission-id", help="Id of the job; default: a new one.")
@click.option("--job-id", help="Deprecated: use --submission-id.")
@click.option("--runtime-env", help="Path of a YAML file with the job's runtime environment.")
@click.option("--runtime-env-json", help="The job's runtime environment, JSON.")
@click.option("--working-dir", help="Directory or URI the job runs in; replaces that of --runtime-env.")
@click.option("--metadata-json", help="Metadata of the job, JSON.")
@click.option("--entrypoint-num-cpus", type=float, help="CPUs that the entrypoint holds.")
@click.option("--entrypoint-num-gpus", type=float, help="GPUs that the entrypoint holds.")
@click.option("--entrypoint-memory", type=int, help="Bytes of memory that the entrypoint holds.")
@click.option("--entrypoint-resources", help="Other resources that the entrypoint holds, JSON.")
@click.option("--entrypoint-label-selector", help="Labels of the node to run on, JSON.")
@click.option("--no-wait", is_flag=True, help="Do not follow the job's logs to its end.")
@_connection_options
@click.argument("entrypoint", nargs=-1, required=True, type=click.UNPROCESSED)
def submit(
    address: str | None,
    verify: str,
    headers: str | None,
    submission_id: str | None,
    job_id: str | None,
    runtime_env: str | None,
    runtime_env_json: str | None,
    working_dir: str | None,
    metadata_json: str | None,
    entrypoint_num_cpus: float | None,
    entrypoint_num_gpus: float | None,
    entrypoint_memory: int | None,
    entrypoint_resources: str | None,
    entrypoint_label_selector: str | None,
    no_wait: bool,
    entrypoint: tuple[str, ...],
) -> None:
    """Run ENTRYPOINT, a command, on the cluster.

    For example: `ray job submit --working-dir . -- python my_script.py`
    """
    if job_id:
        out.warning("--job-id option is deprecated. Please use --submission-id instead.")
    try:
        environment = parse_runtime_env_args(runtime_env, runtime_env_json, working_dir)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if hook := hooks.load("RAY_JOB_SUBMIT_HOOK"):
        hook(
            address=address,
            job_id=submission_id or job_id,
            submission_id=submission_id or job_id,
            runtime_env=runtime_env,
            runtime_env_json=runtime_env_json,
            metadata_json=metadata_json,
            working_dir=working_dir,
            entrypoint=entrypoint,
            entrypoint_num_cpus=entrypoint_num_cpus,
            entrypoint_num_gpus=entrypoint_num_gpus,
            entrypoint_memory=entrypoint_memory,
            entrypoint_resources=entrypoint_resources,
            no_wait=no_wait,
        )
    client = _client(address, verify, headers, create=True)
    job_name = client.submit_job(
        entrypoint=shlex.join(entrypoint),
        submission_id=submission_id or job_id,
        runtime_env=environment,
        metadata=_json("--metadata-json", metadata_json),
        entrypoint_num_cpus=entrypoint_num_cpus,
        entrypoint_num_gpus=entrypoint_num_gpus,
        entrypoint_memory=entrypoint_memory,
        entrypoint_resources=_json("--entrypoint-resources", entrypoint_resources),
        entrypoint_label_selector=_json("--entrypoint-label-selector", entrypoint_label_selector),
    )
    out.print()
    out.success(f"Job '{job_name}' submitted successfully")
    out.print()
    _tell_next_steps(job_name)
    if no_wait:
        return
    out.print("Tailing logs until the job exits (disable with --no-wait):")
    status = _follow(client, job_name)
    if status is JobStatus.FAILED:
        sys.exit(1)


def _tell_next_steps(job_id: str) -> None:
    with out.group("Next steps"):
        for what, command in (
            ("Query the logs of the job:", f"ray job logs {job_id}"),
            ("Query the status of the job:", f"ray job status {job_id}"),
            ("Request the job to be stopped:", f"ray job stop {job_id}"),
        ):
            out.print(what)
            out.print(f"  {command}", bold=True)
    out.print()


def _follow(client: JobSubmissionClient, job_id: str) -> JobStatus:
    """Print what the job writes until it ends, and how it ended."""

    async def tail() -> None:
        async for text in client.tail_job_logs(job_id):
            print(text, end="", flush=True)

    try:
        asyncio.run(tail())
    except KeyboardInterrupt:
        out.print(f"The job goes on. To stop it: ray job stop {job_id}")
        raise
    return _tell_status(client, job_id)


def _tell_status(client: JobSubmissionClient, job_id: str) -> JobStatus:
    info = client.get_job_info(job_id)
    out.print()
    if info.status is JobStatus.SUCCEEDED:
        out.success(f"Job '{job_id}' succeeded")
    elif info.status is JobStatus.STOPPED:
        out.warning(f"Job '{job_id}' was stopped")
    elif info.status is JobStatus.FAILED:
        out.failure(f"Job '{job_id}' failed")
        if info.message:
            out.print(f"Status message: {info.message}")
    else:
        out.print(f"Status for job '{job_id}': {info.status}")
        if info.message:
            out.print(f"Status message: {info.message}")
    return info.status


@job.command()
@_connection_options
@click.argument("job_id")
def status(address: str | None, verify: str, headers: str | None, job_id: str) -> None:
    """Tell where a job is."""
    _tell_status(_client(address, verify, headers), job_id)


@job.command()
@click.option("--no-wait", is_flag=True, help="Do not wait until it has ended.")
@_connection_options
@click.argument("job_id")
def stop(address: str | None, verify: str, headers: str | None, job_id: str, no_wait: bool) -> None:
    """Stop a job: SIGTERM, and SIGKILL some seconds later."""
    client = _client(address, verify, headers)
    out.print(f"Attempting to stop job '{job_id}'")
    client.stop_job(job_id)
    if no_wait:
        return
    out.print(f"Waiting for job '{job_id}' to exit (disable with --no-wait):")
    while True:
        now = client.get_job_status(job_id)
        if now.is_terminal():
            _tell_status(client, job_id)
            return
        out.print(f"Job has not exited yet. Status: {now}")
        time.sleep(POLL_S)


@job.command()
@_connection_options
@click.argument("job_id")
def delete(address: str | None, verify: str, headers: str | None, job_id: str) -> None:
    """Forget a job that has ended, and its logs."""
    client = _client(address, verify, headers)
    client.delete_job(job_id)
    out.print(f"Job '{job_id}' deleted successfully")


@job.command()
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@_connection_options
@click.argument("job_id")
def logs(address: str | None, verify: str, headers: str | None, job_id: str, follow: bool) -> None:
    """Print what a job has written."""
    client = _client(address, verify, headers)
    if follow:
        _follow(client, job_id)
    else:
        print(client.get_job_logs(job_id), end="")


@job.command("list")
@_connection_options
def list_(address: str | None, verify: str, headers: str | None) -> None:
    """List all jobs."""
    out.print(pprint.pformat(_client(address, verify, headers).list_jobs()))
