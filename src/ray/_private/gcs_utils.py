"""Rows of the GCS's tables under the names that tools import. Needs the package `protobuf`."""

from ray._private.not_included import Absent
from ray.core.generated.common_pb2 import ErrorType
from ray.core.generated.gcs_pb2 import (
    ActorTableData,
    AvailableResources,
    ErrorTableData,
    GcsNodeInfo,
    JobTableData,
    PlacementGroupTableData,
    TotalResources,
    WorkerTableData,
)

WORKER = 0
DRIVER = 1
_NO_GRPC = "Its processes do not speak gRPC with each other."
GcsChannel = Absent("ray._private.gcs_utils.GcsChannel", _NO_GRPC)
create_gcs_channel = Absent("ray._private.gcs_utils.create_gcs_channel", _NO_GRPC)
cleanup_redis_storage = Absent("ray._private.gcs_utils.cleanup_redis_storage", "Delete the keys by a Redis client.")

__all__ = [
    "DRIVER",
    "WORKER",
    "ActorTableData",
    "AvailableResources",
    "ErrorTableData",
    "ErrorType",
    "GcsNodeInfo",
    "JobTableData",
    "PlacementGroupTableData",
    "TotalResources",
    "WorkerTableData",
]
