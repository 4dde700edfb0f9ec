"""All jobs of a cluster, as the REST API and the state API tell them: submitted ones, and drivers started by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ray._core.common import messages as m
from ray.dashboard.modules.job.common import (
    JOB_ID_METADATA_KEY,
    KV_NAMESPACE,
    RAY_INTERNAL_NAMESPACE_PREFIX,
    DriverInfo,
    JobDetails,
    JobInfoStorage,
    JobStatus,
    JobType,
    details_of,
)

Ask = Callable[[m.Request], Any]
"""Sends a request to the GCS and gives the reply."""


class AskedKeyValues:
    """Implements `common.KeyValues` in one namespace of the GCS's table."""

    def __init__(self, ask: Ask, namespace: str) -> None:
        self._ask = ask
        self._namespace = namespace

    def get(self, key: str) -> bytes | None:
        value: bytes | None = self._ask(m.KvGet(namespace=self._namespace, key=key.encode())).value
        return value

    def exists(self, key: str) -> bool:
        return bool(self._ask(m.KvExists(namespace=self._namespace, key=key.encode())).count)

    def put(self, key: str, value: bytes, overwrite: bool) -> bool:
        request = m.KvPut(namespace=self._namespace, key=key.encode(), value=value, overwrite=overwrite)
        return bool(self._ask(request).count)

    def delete(self, key: str) -> bool:
        return bool(self._ask(m.KvDel(namespace=self._namespace, key=key.encode())).count)

    def keys(self, prefix: str) -> list[str]:
        found = self._ask(m.KvKeys(namespace=self._namespace, prefix=prefix.encode())).keys
        return [key.decode() for key in found]


def storage(ask: Ask) -> JobInfoStorage:
    """The descriptions of submitted jobs."""
    return JobInfoStorage(AskedKeyValues(ask, KV_NAMESPACE))


def all_jobs(ask: Ask) -> list[JobDetails]:
    """Submitted jobs, then drivers that nobody submitted. What the dashboard does for itself is no job."""
    hosts = {node.hostname: node.host for node in ask(m.ListNodes()).nodes}
    drivers: dict[str, DriverInfo] = {}
    others: list[JobDetails] = []
    for job in ask(m.ListJobs()).jobs:
        if job.namespace.startswith(RAY_INTERNAL_NAMESPACE_PREFIX):
            continue
        driver = DriverInfo(job.job_id.hex(), hosts.get(job.driver_host, job.driver_host), str(job.driver_pid))
        submission_id = job.metadata.get(JOB_ID_METADATA_KEY)
        if submission_id:
            drivers[submission_id] = driver
        else:
            others.append(_of_driver(job, driver))
    submitted = storage(ask).all()
    return [details_of(key, info, drivers.get(key)) for key, info in submitted.items()] + others


def _of_driver(job: m.JobInfo, driver: DriverInfo) -> JobDetails:
    return JobDetails(
        type=JobType.DRIVER,
        job_id=driver.id,
        driver_info=driver,
        status=JobStatus.SUCCEEDED if job.is_dead else JobStatus.RUNNING,
        entrypoint=job.entrypoint,
        start_time=job.start_time_ms,
        end_time=job.end_time_ms or None,
        metadata=job.metadata,
        runtime_env=json.loads(job.runtime_env) if job.runtime_env else {},
        driver_node_id=job.driver.node_id.hex(),
    )
