"""The runtime environment of a client's session: directories of this machine go to the cluster first. Floor: client."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, BinaryIO

from ray._core.common.packages import in_parts
from ray.core.generated import ray_client_pb2 as pb

if TYPE_CHECKING:
    from ray.util.client.worker import Worker

_FUNCTIONS = b"fun"
"""Namespace of pickled functions in the key-value table."""


def upload_environment(job_config: Any, worker: Worker) -> None:
    """Make the job's environment one that the cluster's nodes can build: local paths become packages in the GCS.

    Raises:
        TypeError, ValueError: the environment cannot be.
        RuntimeEnvSetupError: something in it is too large, or the cluster did not take it.
    """
    from ray._private.runtime_env import job_env, packaging

    if not (job_config.runtime_env or os.environ.get(job_env.JOB_CONFIG_VARIABLE)):
        return

    def exists(uri: str) -> bool:
        return bool(worker.kv("KVExists", pb.KVExistsRequest(key=uri.encode())).exists)

    def put(uri: str, package: BinaryIO) -> None:
        whole = worker.is_original  # it knows nothing of parts
        for key, part in [(uri, package.read())] if whole else in_parts(uri, package):
            worker.kv("KVPut", pb.KVPutRequest(key=key.encode(), value=part, overwrite=True), changes_state=True)
        worker.kv("PinRuntimeEnvURI", pb.ClientPinRuntimeEnvURIRequest(uri=uri, expiration_s=0))

    def put_function(key: str, blob: bytes) -> None:
        request = pb.KVPutRequest(key=key.encode(), value=blob, overwrite=True, namespace=_FUNCTIONS)
        worker.kv("KVPut", request, changes_state=True)

    wanted = job_env.job_environment(job_config.runtime_env)
    text = job_env.upload(wanted, packaging.Store(exists, put), put_function)
    job_config.runtime_env = json.loads(text) if text else {}
