"""`JobSubmissionClient`: submit jobs to a cluster from anywhere, by HTTP.

Source: Ray docs, "Python SDK" of Ray Jobs.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

from ray.dashboard.modules.dashboard_sdk import SubmissionClient
from ray.dashboard.modules.job.common import JobDetails, JobStatus, JobSubmitRequest
from ray.runtime_env import RuntimeEnv

logger = logging.getLogger(__name__)


class JobSubmissionClient(SubmissionClient):
    """Submits, watches and stops jobs.

    Args:
        address: of the dashboard; None: RAY_API_SERVER_ADDRESS, RAY_ADDRESS or http://localhost:8265.
        cookies, headers: of each request; without an Authorization header the cluster's token is sent.
        metadata: default of jobs submitted here.
        verify: of TLS certificates: bool, or the path of a bundle.
    Raises:
        ConnectionError: nobody answers there.
    """

    def __init__(
        self,
        address: str | None = None,
        create_cluster_if_needed: bool = False,
        cookies: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
        verify: str | bool | None = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(address, create_cluster_if_needed, cookies, metadata, headers, verify, **kwargs)
        self._check_connection_and_version(
            version_error_message="Jobs API is not supported on the Ray cluster. Please ensure the cluster is running "
            "Ray 1.9 or higher."
        )

    def submit_job(
        self,
        *,
        entrypoint: str,
        job_id: str | None = None,
        runtime_env: dict[str, Any] | RuntimeEnv | None = None,
        metadata: dict[str, str] | None = None,
        submission_id: str | None = None,
        entrypoint_num_cpus: float | None = None,
        entrypoint_num_gpus: float | None = None,
        entrypoint_memory: int | None = None,
        entrypoint_resources: dict[str, float] | None = None,
        entrypoint_label_selector: dict[str, str] | None = None,
    ) -> str:
        """Run a shell command on the cluster; returns its submission id.

        Local directories and files in `runtime_env` are uploaded.
        Raises:
            TypeError, ValueError: a wrong argument, or environment.
            RuntimeError: the cluster refused, such as a submission id that is taken.
        """
        if job_id:
            logger.warning("job_id kwarg is deprecated. Please use submission_id instead.")
        environment = self._upload_packages(dict(runtime_env or {}))
        request = JobSubmitRequest(
            entrypoint=entrypoint,
            submission_id=submission_id or job_id,
            runtime_env=dict(RuntimeEnv(**environment)) if environment else {},
            metadata={**self._default_metadata, **(metadata or {})},
            entrypoint_num_cpus=entrypoint_num_cpus,
            entrypoint_num_gpus=entrypoint_num_gpus,
            entrypoint_memory=entrypoint_memory,
            entrypoint_resources=entrypoint_resources,
            entrypoint_label_selector=entrypoint_label_selector,
        )
        fields = {name: value for name, value in vars(request).items() if value is not None}
        return str(self._ask("POST", "/api/jobs/", json_data=fields)["submission_id"])

    def stop_job(self, job_id: str) -> bool:
        """Ask a job to stop. False: it has ended already. Raises RuntimeError when there is none."""
        return bool(self._ask("POST", f"/api/jobs/{job_id}/stop")["stopped"])

    def delete_job(self, job_id: str) -> bool:
        """Forget a job that has ended. Raises RuntimeError when there is none, or it has not."""
        return bool(self._ask("DELETE", f"/api/jobs/{job_id}")["deleted"])

    def get_job_info(self, job_id: str) -> JobDetails:
        """Raises RuntimeError when there is none."""
        return JobDetails(**self._ask("GET", f"/api/jobs/{job_id}"))

    def list_jobs(self) -> list[JobDetails]:
        """Submitted jobs and drivers."""
        return [JobDetails(**fields) for fields in self._ask("GET", "/api/jobs/")]

    def get_job_status(self, job_id: str) -> JobStatus:
        return self.get_job_info(job_id).status

    def get_job_logs(self, job_id: str) -> str:
        """All that the job has written so far."""
        return str(self._ask("GET", f"/api/jobs/{job_id}/logs")["logs"])

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        """What the job writes, as it does, until it has ended.

        Raises:
            RuntimeError: there is no such job, or the connection broke before its end.
        """
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed

        url = self._address.replace("http", "ws", 1) + f"/api/jobs/{job_id}/logs/tail"
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        headers = {**self._headers, **({"Cookie": cookies} if cookies else {})}
        options: dict[str, Any] = {"ssl": _unverified_tls()} if url.startswith("wss") and not self._verify else {}
        # Uncompressed: with compression on, an original Ray's dashboard passes on no text at all.
        async with connect(url, additional_headers=headers, max_size=None, compression=None, **options) as socket:
            try:
                async for text in socket:
                    yield text if isinstance(text, str) else text.decode()
            except ConnectionClosed:
                pass  # its code says the rest
            code, reason = socket.close_code, socket.close_reason
        logger.debug("WebSocket closed for job %s with close code %s", job_id, code)
        if code != 1000:
            raise RuntimeError(
                f"WebSocket connection closed unexpectedly while tailing {job_id}: {code} {reason or ''}"
            )

    def _ask(self, method: str, endpoint: str, json_data: Any = None) -> Any:
        response = self._do_request(method, endpoint, json_data=json_data)
        self._raise_error_unless_ok(response)
        return response.json()


def _unverified_tls() -> Any:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
