"""Enumerations and messages that tools read: what tasks, workers and errors are called."""

from typing import TYPE_CHECKING, Any

from ray._private.not_included import absent_names
from ray.core.generated.schema import build

_ENUMS = {
    "Language": "PYTHON JAVA CPP",
    "WorkerType": "WORKER DRIVER SPILL_WORKER RESTORE_WORKER",
    "TaskType": "NORMAL_TASK ACTOR_CREATION_TASK ACTOR_TASK DRIVER_TASK",
    "TaskStatus": (
        "NIL PENDING_ARGS_AVAIL PENDING_NODE_ASSIGNMENT PENDING_OBJ_STORE_MEM_AVAIL PENDING_ARGS_FETCH "
        "SUBMITTED_TO_WORKER PENDING_ACTOR_TASK_ARGS_FETCH PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY RUNNING "
        "RUNNING_IN_RAY_GET RUNNING_IN_RAY_WAIT FINISHED FAILED GETTING_AND_PINNING_ARGS"
    ),
    "NodeDeathInfo.Reason": (
        "UNSPECIFIED EXPECTED_TERMINATION UNEXPECTED_TERMINATION AUTOSCALER_DRAIN_PREEMPTED AUTOSCALER_DRAIN_IDLE"
    ),
    "PlacementStrategy": "PACK SPREAD STRICT_PACK STRICT_SPREAD",
    "WorkerExitType": "SYSTEM_ERROR INTENDED_SYSTEM_EXIT USER_ERROR INTENDED_USER_EXIT NODE_OUT_OF_MEMORY",
    "ErrorType": (
        "WORKER_DIED ACTOR_DIED - TASK_EXECUTION_EXCEPTION OBJECT_IN_PLASMA TASK_CANCELLED ACTOR_CREATION_FAILED "
        "RUNTIME_ENV_SETUP_FAILED OBJECT_LOST OWNER_DIED OBJECT_DELETED DEPENDENCY_RESOLUTION_FAILED "
        "OBJECT_UNRECONSTRUCTABLE_MAX_ATTEMPTS_EXCEEDED OBJECT_UNRECONSTRUCTABLE_LINEAGE_EVICTED "
        "OBJECT_FETCH_TIMED_OUT LOCAL_RAYLET_DIED TASK_PLACEMENT_GROUP_REMOVED ACTOR_PLACEMENT_GROUP_REMOVED "
        "TASK_UNSCHEDULABLE_ERROR ACTOR_UNSCHEDULABLE_ERROR OUT_OF_DISK_ERROR OBJECT_FREED OUT_OF_MEMORY NODE_DIED "
        "END_OF_STREAMING_GENERATOR ACTOR_UNAVAILABLE"
    ),
}
_MESSAGES = {
    "NodeDeathInfo": {"reason": "enum NodeDeathInfo.Reason", "reason_message": "string"},
    "Address": {"node_id": "bytes", "ip_address": "string", "port": "int32", "worker_id": "bytes"},
}
globals().update(build("common", _ENUMS, _MESSAGES))

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...  # the names come from the tables
else:
    __getattr__ = absent_names(__name__, "Its processes do not speak gRPC with each other.")
