"""The generators of refs, under the names that tests import."""

from ray._core.worker.ref_generator import DynamicObjectRefGenerator, ObjectRefGenerator

__all__ = ["DynamicObjectRefGenerator", "ObjectRefGenerator"]
