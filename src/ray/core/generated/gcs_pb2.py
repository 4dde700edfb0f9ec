"""Rows of the GCS's tables, as `GlobalStateAccessor` gives them."""

from typing import TYPE_CHECKING, Any

from ray._private.not_included import absent_names
from ray.core.generated import common_pb2
from ray.core.generated.schema import build

_ENUMS = {
    "ActorTableData.ActorState": "DEPENDENCIES_UNREADY PENDING_CREATION ALIVE RESTARTING DEAD",
    "PlacementGroupTableData.PlacementGroupState": "PENDING PREPARED CREATED REMOVED RESCHEDULING",
    "GcsNodeInfo.GcsNodeState": "ALIVE DEAD",
}
_MESSAGES = {
    "ActorTableData": {
        "actor_id": "bytes",
        "job_id": "bytes",
        "state": "enum ActorTableData.ActorState",
        "max_restarts": "int64",
        "num_restarts": "int64",
        "address": "Address",
        "is_detached": "bool",
        "name": "string",
        "pid": "int32",
        "ray_namespace": "string",
        "start_time": "int64",
        "end_time": "int64",
        "class_name": "string",
        "required_resources": "{string: double}",
        "node_id": "bytes",
        "repr_name": "string",
        "preempted": "bool",
    },
    "GcsNodeInfo": {
        "node_id": "bytes",
        "node_manager_address": "string",
        "raylet_socket_name": "string",
        "object_store_socket_name": "string",
        "node_manager_port": "int32",
        "object_manager_port": "int32",
        "state": "enum GcsNodeInfo.GcsNodeState",
        "node_manager_hostname": "string",
        "metrics_export_port": "int32",
        "dashboard_agent_listen_port": "int32",
        "resources_total": "{string: double}",
        "node_name": "string",
        "start_time_ms": "int64",
        "end_time_ms": "int64",
        "is_head_node": "bool",
        "labels": "{string: string}",
        "session_dir": "string",
    },
    "JobTableData": {
        "job_id": "bytes",
        "is_dead": "bool",
        "timestamp": "int64",
        "driver_ip_address": "string",
        "driver_pid": "int64",
        "start_time": "int64",
        "end_time": "int64",
        "entrypoint": "string",
    },
    "WorkerTableData": {
        "is_alive": "bool",
        "worker_address": "Address",
        "worker_type": "enum WorkerType",
        "pid": "int32",
        "job_id": "bytes",
    },
    "PlacementGroupTableData": {
        "placement_group_id": "bytes",
        "name": "string",
        "strategy": "enum PlacementStrategy",
        "state": "enum PlacementGroupTableData.PlacementGroupState",
        "creator_job_id": "bytes",
        "is_detached": "bool",
        "ray_namespace": "string",
    },
    "AvailableResources": {"node_id": "bytes", "resources_available": "{string: double}"},
    "TotalResources": {"node_id": "bytes", "resources_total": "{string: double}"},
    "ErrorTableData": {"job_id": "bytes", "type": "string", "error_message": "string", "timestamp": "double"},
}
globals().update(build("gcs", _ENUMS, _MESSAGES, ("common",)))
Address = common_pb2.Address

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...  # the names come from the tables
else:
    __getattr__ = absent_names(__name__, "Its processes do not speak gRPC with each other.")
