"""The runtime environments of jobs themselves: built before a job's first task asks, and held until the job ends.

Floor: raylet, shell around `env_link`.
"""

from __future__ import annotations

import json
import logging

from ray._core.common.messages import JobInfo
from ray._core.raylet.env_link import EnvLink

logger = logging.getLogger(__name__)


class JobEnvironments:
    def __init__(self, environments: EnvLink) -> None:
        self._environments = environments
        self._held: dict[bytes, str] = {}
        """By job."""
        self._preparing: set[bytes] = set()
        """Jobs whose environment is being built; those that end meanwhile are not among them any more."""

    def started(self, job: JobInfo) -> None:
        """A failure to build it is told to the task that needs it."""
        if not job.runtime_env or job.job_id in self._held or job.job_id in self._preparing:
            return
        if not json.loads(job.runtime_env).get("config", {}).get("eager_install", True):
            return
        self._preparing.add(job.job_id)
        self._environments.prepare(job.runtime_env, job.job_id, lambda error: self._prepared(job, error))

    def _prepared(self, job: JobInfo, error: str) -> None:
        """Without an error this holds the environment."""
        is_wanted = job.job_id in self._preparing
        self._preparing.discard(job.job_id)
        if error:
            logger.warning("The environment of job %s could not be built: %s", job.job_id.hex(), error)
        elif is_wanted:
            self._held[job.job_id] = job.runtime_env
        else:
            self._environments.drop(job.runtime_env)

    def ended(self, job_id: bytes) -> None:
        self._preparing.discard(job_id)
        self._environments.drop(self._held.pop(job_id, ""))
