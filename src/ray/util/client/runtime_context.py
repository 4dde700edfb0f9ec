"""`ray.get_runtime_context()` of a client: where its server's driver runs. Floor: client, thin over `worker`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray._core.common.ids import JobID, NodeID
from ray.core.generated import ray_client_pb2 as pb
from ray.runtime_context import RuntimeContext

if TYPE_CHECKING:
    from ray.runtime_env import RuntimeEnv
    from ray.util.client.worker import Worker


class ClientRuntimeContext(RuntimeContext):
    """Asks the server at each look."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    @property
    def _there(self) -> Any:
        return self._worker.cluster_info(pb.ClusterInfoType.RUNTIME_CONTEXT)

    def get_job_id(self) -> str:
        return str(self._there.job_id.hex())

    def get_node_id(self) -> str:
        return str(self._there.node_id.hex())

    def get_worker_id(self) -> str:
        return str(self._there.worker_id.hex())

    def get_task_id(self) -> str | None:
        return None

    def get_actor_id(self) -> str | None:
        return None

    @property
    def namespace(self) -> str:
        return str(self._there.namespace)

    @property
    def gcs_address(self) -> str:
        return str(self._there.gcs_address)

    def get_session_name(self) -> str:
        return str(self._there.session_name)

    def get_runtime_env_string(self) -> str:
        return self._there.runtime_env or "{}"

    @property
    def runtime_env(self) -> RuntimeEnv:
        from ray.runtime_env import RuntimeEnv

        return RuntimeEnv.deserialize(self.get_runtime_env_string())

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        return bool(self._there.capture_client_tasks)

    @property
    def job_id(self) -> JobID:
        return JobID(self._there.job_id)

    @property
    def node_id(self) -> NodeID:
        return NodeID(self._there.node_id)

    def get(self) -> dict[str, Any]:
        return {"job_id": self.job_id, "node_id": self.node_id, "namespace": self.namespace}
