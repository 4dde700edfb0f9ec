"""Names that libraries import from here, where Ray has its compiled core."""

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
from ray.cross_language import Language

ObjectID = ObjectRef
StreamingObjectRefGenerator = ObjectRefGenerator

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
    "PlacementGroupID",
    "StreamingObjectRefGenerator",
    "TaskID",
    "UniqueID",
    "WorkerID",
]
