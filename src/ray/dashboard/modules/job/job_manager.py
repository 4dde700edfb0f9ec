"""Starts jobs and watches their supervisors. Lives in the dashboard, which is a driver of the cluster for it.

What is known of a job is in the key-value table; supervisors write their jobs' ends there themselves. So a dashboard
that ends harms no job, and the next one takes up watching (`recover`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ray
from ray import exceptions
from ray._private.auto_init_hook import connected_core
from ray._private.not_included import absent_names
from ray.dashboard.modules.job.common import (
    JOB_ACTOR_NAME_TEMPLATE,
    JOB_ID_METADATA_KEY,
    JOB_NAME_METADATA_KEY,
    SUPERVISOR_ACTOR_RAY_NAMESPACE,
    JobErrorType,
    JobInfo,
    JobStatus,
    JobSubmitRequest,
    new_submission_id,
    now_ms,
)
from ray.dashboard.modules.job.details import storage
from ray.dashboard.modules.job.job_supervisor import JobSupervisor
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

logger = logging.getLogger(__name__)
START_TIMEOUT_S = float(os.environ.get("RAY_JOB_START_TIMEOUT_SECONDS", 900))


class JobManager:
    """Methods that talk to the cluster block; the web server calls them on threads. `watch` and `recover` await."""

    def __init__(self, gcs_address: str, head_node_id: str) -> None:
        self._gcs_address = gcs_address
        self._head_node_id = head_node_id
        self.storage = storage(connected_core().ask_gcs)
        self._watched: dict[str, asyncio.Task[None]] = {}

    # ---------------------------------------------------------- submitting

    def register(self, request: JobSubmitRequest) -> str:
        """Write the job down as PENDING; returns its submission id. Raises ValueError when it is taken."""
        submission_id = request.submission_id or request.job_id or new_submission_id()
        info = JobInfo(
            status=JobStatus.PENDING,
            entrypoint=request.entrypoint,
            start_time=now_ms(),
            metadata=request.metadata or {},
            runtime_env=request.runtime_env or {},
            entrypoint_num_cpus=request.entrypoint_num_cpus,
            entrypoint_num_gpus=request.entrypoint_num_gpus,
            entrypoint_memory=request.entrypoint_memory,
            entrypoint_resources=request.entrypoint_resources,
            entrypoint_label_selector=request.entrypoint_label_selector,
        )
        if not self.storage.add(submission_id, info):
            raise ValueError(
                f"Job with submission_id {submission_id} already exists. Please use a different submission_id."
            )
        return submission_id

    def start(self, submission_id: str, request: JobSubmitRequest) -> None:
        """Create the supervisor and have it run. A failure becomes the job's."""
        try:
            supervisor = self._create_supervisor(submission_id, request)
        except Exception as error:
            logger.exception("The supervisor of job %s could not be created.", submission_id)
            self._fail(submission_id, JobErrorType.JOB_SUPERVISOR_ACTOR_START_FAILURE, _start_failure(error))
            return
        supervisor.run.remote()

    def _create_supervisor(self, submission_id: str, request: JobSubmitRequest) -> Any:
        metadata = {JOB_NAME_METADATA_KEY: submission_id, **(request.metadata or {})}
        metadata[JOB_ID_METADATA_KEY] = submission_id
        runtime_env = dict(request.runtime_env or {})
        options: dict[str, Any] = {
            "name": JOB_ACTOR_NAME_TEMPLATE.format(job_id=submission_id),
            "namespace": SUPERVISOR_ACTOR_RAY_NAMESPACE,
            "lifetime": "detached",
            "enable_task_events": False,  # `ray summary tasks` tells of the job's own
            "num_cpus": request.entrypoint_num_cpus or 0,
            "num_gpus": request.entrypoint_num_gpus or 0,
            "memory": request.entrypoint_memory,
            "resources": request.entrypoint_resources,
            "label_selector": request.entrypoint_label_selector,
            "runtime_env": runtime_env or None,
        }
        anywhere = os.environ.get("RAY_JOB_ALLOW_DRIVER_ON_WORKER_NODES", "0") == "1"
        if not request.has_resources() and not anywhere:
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(self._head_node_id, soft=False)
        actor_class: Any = ray.remote(JobSupervisor)
        return actor_class.options(**{k: v for k, v in options.items() if v is not None}).remote(
            submission_id, request.entrypoint, metadata, self._gcs_address, runtime_env
        )

    # ---------------------------------------------------------- watching

    def watch(self, submission_id: str) -> asyncio.Task[None]:
        """Follow the job to its end, also when its supervisor does not come to say it."""
        task = self._watched.get(submission_id)
        if task is None:
            task = self._watched[submission_id] = asyncio.create_task(self._follow(submission_id))
            task.add_done_callback(lambda _: self._watched.pop(submission_id, None))
        return task

    async def recover(self) -> None:
        """Watch the jobs that another dashboard started."""
        for submission_id, info in (await asyncio.to_thread(self.storage.all)).items():
            if not info.status.is_terminal():
                self.watch(submission_id)

    async def _follow(self, submission_id: str) -> None:
        async def fail(kind: JobErrorType, message: str) -> None:
            await asyncio.to_thread(self._fail, submission_id, kind, message)

        try:
            supervisor = await asyncio.to_thread(self._supervisor, submission_id)
            if supervisor is None:
                await fail(JobErrorType.JOB_SUPERVISOR_ACTOR_DIED, "The job's supervisor does not exist any more.")
                return
            await asyncio.wait_for(_done(supervisor.ping.remote()), START_TIMEOUT_S)
            await _done(supervisor.wait.remote())
        except TimeoutError:
            await fail(
                JobErrorType.JOB_SUPERVISOR_ACTOR_START_TIMEOUT,
                f"Job supervisor actor failed to start within {START_TIMEOUT_S} seconds. This timeout can be "
                "configured by setting the environment variable RAY_JOB_START_TIMEOUT_SECONDS. It may wait for "
                "resources (entrypoint_num_cpus and the like) that the cluster does not have free.",
            )
            supervisor = await asyncio.to_thread(self._supervisor, submission_id)
            if supervisor is not None:
                ray.kill(supervisor)
        except exceptions.RuntimeEnvSetupError as error:
            await fail(JobErrorType.RUNTIME_ENV_SETUP_FAILURE, f"runtime_env setup failed: {error}")
        except exceptions.ActorUnschedulableError as error:
            text = f"Job supervisor actor could not be scheduled: {error}"
            await fail(JobErrorType.JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE, text)
        except exceptions.ActorDiedError as error:
            # It ends by itself once it has written the job's end; then this changes nothing.
            await fail(JobErrorType.JOB_SUPERVISOR_ACTOR_DIED, f"Job supervisor actor died: {error}")
        except Exception:
            text = f"Unexpected error occurred: {traceback.format_exc()}"
            await fail(JobErrorType.JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE, text)

    def _fail(self, submission_id: str, kind: JobErrorType, message: str) -> None:
        self.storage.set_status(submission_id, JobStatus.FAILED, message, error_type=kind)

    def _supervisor(self, submission_id: str) -> Any:
        name = JOB_ACTOR_NAME_TEMPLATE.format(job_id=submission_id)
        try:
            return ray.get_actor(name, namespace=SUPERVISOR_ACTOR_RAY_NAMESPACE)
        except ValueError:
            return None

    # ---------------------------------------------------------- stopping, deleting

    def stop(self, submission_id: str) -> bool:
        """Ask the job to end. False: it has ended already."""
        info = self.storage.get(submission_id)
        supervisor = self._supervisor(submission_id)
        if info is None or info.status.is_terminal() or supervisor is None:
            return False
        supervisor.stop.remote()
        return True

    def delete(self, submission_id: str, remove_log: Callable[[], None]) -> bool:
        """Forget a job that has ended. Raises RuntimeError for one that has not."""
        info = self.storage.get(submission_id)
        if info is not None and not info.status.is_terminal():
            raise RuntimeError(
                f"Attempted to delete job '{submission_id}', but it is in a non-terminal state {info.status}."
            )
        remove_log()
        return self.storage.delete(submission_id)


def _start_failure(error: BaseException) -> str:
    if isinstance(error, (ValueError, TypeError)):
        return f"Failed to start supervisor actor {type(error).__name__}: {error}"
    return f"Failed to start supervisor actor: {''.join(traceback.format_exception(error))}"


async def _done(ref: Any) -> Any:
    """The value of a ref. (`wait_for` wants a coroutine.)"""
    return await ref


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "JobInfoStorageClient JobLogStorageClient generate_job_id",
    )
