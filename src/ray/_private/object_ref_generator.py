"""The generator of `num_returns="dynamic"`, under the name that tests import."""

from ray._core.worker.ref_generator import DynamicObjectRefGenerator

__all__ = ["DynamicObjectRefGenerator"]
