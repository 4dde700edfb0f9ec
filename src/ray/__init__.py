"""Ray in pure Python: tasks and objects. See README.md for what is here and what is not yet."""

from ray import exceptions
from ray._core.common.ids import ActorClassID, ActorID, FunctionID, JobID, NodeID, PlacementGroupID, TaskID, UniqueID
from ray._core.common.ids import WorkerID as WorkerID
from ray._core.worker.object_ref import ObjectRef
from ray._private.worker import (
    available_resources,
    cluster_resources,
    get,
    init,
    is_initialized,
    nodes,
    put,
    remote,
    shutdown,
    wait,
)

ObjectID = ObjectRef
__version__ = "2.60.0"
"""The level of Ray's API that is implemented; the distribution has a version of its own."""

__all__ = [
    "ActorClassID",
    "ActorID",
    "FunctionID",
    "JobID",
    "NodeID",
    "ObjectID",
    "ObjectRef",
    "PlacementGroupID",
    "TaskID",
    "UniqueID",
    "WorkerID",
    "available_resources",
    "cluster_resources",
    "exceptions",
    "get",
    "init",
    "is_initialized",
    "nodes",
    "put",
    "remote",
    "shutdown",
    "wait",
]
