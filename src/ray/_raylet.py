"""Names that libraries import from here, where Ray has its compiled core."""

from ray._core.worker.object_ref import ObjectRef
from ray._core.worker.ref_generator import DynamicObjectRefGenerator, ObjectRefGenerator

__all__ = ["DynamicObjectRefGenerator", "ObjectRef", "ObjectRefGenerator"]
