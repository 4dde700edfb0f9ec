"""The supervisor of one job: a detached actor which runs the entrypoint and says what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import deque
from pathlib import Path
from typing import Any

import ray
from ray._private.auto_init_hook import connected_core
from ray.dashboard.modules.job.common import (
    JOB_LOGS_PATH_TEMPLATE,
    JobErrorType,
    JobStatus,
)
from ray.dashboard.modules.job.details import storage

TAIL_LINES = 10
TAIL_BYTES = 20_000


class JobSupervisor:
    """Runs in the job's runtime environment, on the node where the entrypoint shall run.

    Args:
        job_id: the submission id.
        entrypoint: shell command.
        metadata: of the job, which its driver hands on to the cluster.
        gcs_address: of the cluster, for the driver.
        runtime_env: of the job; the driver's tasks inherit it.
    """

    def __init__(
        self, job_id: str, entrypoint: str, metadata: dict[str, str], gcs_address: str, runtime_env: dict[str, Any]
    ) -> None:
        self._job_id = job_id
        self._entrypoint = entrypoint
        self._metadata = metadata
        self._gcs_address = gcs_address
        self._runtime_env = runtime_env
        self._storage = storage(connected_core().ask_gcs)
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        logs = Path(ray.get_runtime_context().get_temp_dir()) / ray.get_runtime_context().get_session_name() / "logs"
        self._log = logs / JOB_LOGS_PATH_TEMPLATE.format(submission_id=job_id)

    async def ping(self) -> str:
        """It is up; returns the id of its node."""
        return ray.get_runtime_context().get_node_id()

    async def stop(self) -> None:
        """Have the entrypoint end; `run` tells the rest."""
        self._stopping.set()

    async def wait(self) -> None:
        """Answers once the job has ended, or never: the actor ends with it."""
        await self._ended.wait()

    async def run(self) -> None:
        """Run the entrypoint to its end and write down how that was."""
        try:
            await self._run()
        except OSError as error:
            self._finish(
                JobStatus.FAILED,
                f"The entrypoint could not be started: {error}",
                error_type=JobErrorType.JOB_ENTRYPOINT_COMMAND_START_ERROR,
            )
        finally:
            self._ended.set()
            ray.actor.exit_actor()

    async def _run(self) -> None:
        node_id = ray.get_runtime_context().get_node_id()
        self._storage.set_status(self._job_id, JobStatus.RUNNING, driver_node_id=node_id)
        if self._stopping.is_set():
            self._finish(JobStatus.STOPPED)
            return
        with open(self._log, "ab") as log:
            log.write(f"Running entrypoint for job {self._job_id}: {self._entrypoint}\n".encode())
            log.flush()
            process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                self._entrypoint,
                env=self._environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # its children end with it, by their group
            )
        guard = await _guard(process.pid)
        ended = asyncio.ensure_future(process.wait())
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await self._end(process, ended)
                self._finish(JobStatus.STOPPED)
                return
        finally:
            stopped.cancel()
            _signal_group(process.pid, signal.SIGKILL)
            guard.kill()
        self._conclude(ended.result())

    def _environment(self) -> dict[str, str]:
        """Of the entrypoint: the cluster's address, and what was submitted, for its `ray.init`."""
        config = {"runtime_env": self._runtime_env, "metadata": self._metadata}
        env = {name: value for name, value in os.environ.items() if name not in _OF_THE_WORKER}
        env["RAY_ADDRESS"] = self._gcs_address
        env["RAY_JOB_CONFIG_JSON_ENV_VAR"] = json.dumps(config)
        env["PYTHONUNBUFFERED"] = "1"
        # "python" means this environment's, also where the node was started by the full path of its interpreter.
        env["PATH"] = f"{os.path.dirname(sys.executable)}:{env.get('PATH', os.defpath)}"
        return env

    async def _end(self, process: asyncio.subprocess.Process, ended: asyncio.Future[int]) -> None:
        """SIGTERM to the whole group, and SIGKILL when it takes too long."""
        wanted = os.environ.get("RAY_JOB_STOP_SIGNAL", "SIGTERM")
        _signal_group(process.pid, getattr(signal, wanted, signal.SIGTERM))
        patience_s = float(os.environ.get("RAY_JOB_STOP_WAIT_TIME_S", 3))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ended), patience_s)
        _signal_group(process.pid, signal.SIGKILL)
        await ended

    def _conclude(self, code: int) -> None:
        if code == 0:
            self._finish(JobStatus.SUCCEEDED, driver_exit_code=0)
            return
        tail = self._last_lines()
        how = f"Job entrypoint command failed with exit code {code}, "
        text = f"last available logs (truncated to {TAIL_BYTES:,} chars):\n{tail}" if tail else "no logs are available."
        self._finish(
            JobStatus.FAILED,
            how + text,
            driver_exit_code=code,
            error_type=JobErrorType.JOB_ENTRYPOINT_COMMAND_ERROR,
        )

    def _finish(self, status: JobStatus, message: str | None = None, **fields: Any) -> None:
        self._storage.set_status(self._job_id, status, message, **fields)

    def _last_lines(self) -> str:
        with open(self._log, errors="replace") as log:
            return "".join(deque(log, TAIL_LINES))[-TAIL_BYTES:]


_OF_THE_WORKER = {"RAY_RAYLET_SOCKET", "RAY_NODE_ID_HEX", "RAY_SESSION_DIR", "RAY_NODE_IP", "RAY_JOB_ID"}
"""Variables by which a worker finds its raylet; the driver has another way."""


async def _guard(group: int) -> asyncio.subprocess.Process:
    """A process that kills the group when this one ends, however that happens: it waits for the end of a pipe."""
    return await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", 'read _; kill -s KILL -- "-$0"', str(group)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


def _signal_group(pid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signum)
