"""Where libraries look for the `GcsClient`."""

from ray._core.node.gcs_client import GcsClient

__all__ = ["GcsClient"]
