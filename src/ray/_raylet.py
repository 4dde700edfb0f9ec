"""Names that libraries import from here, where Ray has its compiled core."""

from typing import Any

from ray._common.network_utils import (
    build_address,
    get_all_interfaces_ip,
    get_localhost_ip,
    is_ipv6,
    is_localhost,
    node_ip_address_from_perspective,
    parse_address,
)
from ray._common.utils import binary_to_hex
from ray._core.common.ids import (
    ActorClassID,
    ActorID,
    FunctionID,
    JobID,
    NodeID,
    PlacementGroupID,
    TaskID,
    UniqueID,
    WorkerID,
)
from ray._core.worker.object_ref import ObjectRef
from ray._core.worker.ref_generator import DynamicObjectRefGenerator, ObjectRefGenerator
from ray._private.gcs_client import GcsClient
from ray._private.gcs_pubsub import GcsErrorSubscriber, GcsLogSubscriber
from ray._private.not_included import Absent, absent_names
from ray.cross_language import Language
from ray.exceptions import ObjectRefStreamEndOfStreamError

ObjectID = ObjectRef
StreamingObjectRefGenerator = ObjectRefGenerator
STREAMING_GENERATOR_RETURN = -2
"""Stands for num_returns="streaming" where a number is wanted."""
RESOURCE_UNIT_SCALING = 10000
RAY_INTERNAL_NAMESPACE_PREFIX = "_ray_internal_"
GCS_PID_KEY = "gcs_pid"
METRICS_AGENT_PORT_NAME = "metrics_agent_port"
IMPLICIT_RESOURCE_PREFIX = "node:__internal_implicit_resource_"
RAY_NODE_ID_KEY = "ray.io/node-id"
RAY_NODE_ACCELERATOR_TYPE_KEY = "ray.io/accelerator-type"
RAY_NODE_MARKET_TYPE_KEY = "ray.io/market-type"
RAY_NODE_REGION_KEY = "ray.io/availability-region"
RAY_NODE_ZONE_KEY = "ray.io/availability-zone"
RAY_NODE_GROUP_KEY = "ray.io/node-group"
CoreWorker = Absent("ray._raylet.CoreWorker", "This process's is ray._private.worker.global_worker.core_worker.")
Config = Absent("ray._raylet.Config", "Settings are given by _system_config= and RAY_<setting>.")
RayletClient = Absent("ray._raylet.RayletClient", "Its processes do not speak gRPC with each other.")


_absent = absent_names(
    __name__,
    "",
    "AuthenticationMode AuthenticationTokenLoader Buffer CppFunctionDescriptor EmptyProfileEvent FunctionDescriptor "
    "InnerGcsClient JavaFunctionDescriptor MessagePackSerializedObject MessagePackSerializer Pickle5SerializedObject "
    "Pickle5Writer ProfileEvent PythonFunctionDescriptor RawSerializedObject SerializedObject SubBuffer "
    "split_buffer unpack_pickle5_buffers Count Gauge Histogram Sum StreamRedirector compute_task_id "
    "del_key_prefix_from_storage get_authentication_mode get_port_filename get_session_key_from_storage "
    "getproctitle maybe_initialize_job_config persist_port raise_sys_exit_with_custom_error_message "
    "serialize_retry_exception_allowlist setproctitle wait_for_persisted_port",
)


def __getattr__(name: str) -> Any:
    """Names that need the package `protobuf`."""
    if name in ("GcsClientOptions", "GlobalStateAccessor"):
        from ray._private import global_state_accessor

        return getattr(global_state_accessor, name)
    return _absent(name)


__all__ = [
    "ActorClassID",
    "ActorID",
    "DynamicObjectRefGenerator",
    "FunctionID",
    "GcsClient",
    "GcsErrorSubscriber",
    "GcsLogSubscriber",
    "JobID",
    "Language",
    "NodeID",
    "ObjectID",
    "ObjectRef",
    "ObjectRefGenerator",
    "ObjectRefStreamEndOfStreamError",
    "PlacementGroupID",
    "StreamingObjectRefGenerator",
    "TaskID",
    "UniqueID",
    "WorkerID",
    "binary_to_hex",
    "build_address",
    "get_all_interfaces_ip",
    "get_localhost_ip",
    "is_ipv6",
    "is_localhost",
    "node_ip_address_from_perspective",
    "parse_address",
]
