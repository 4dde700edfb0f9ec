"""`ray.types`: for annotations."""

from ray._core.worker.object_ref import ObjectRef

__all__ = ["ObjectRef"]
