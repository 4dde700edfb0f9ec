"""The GPU of a Mac."""

from __future__ import annotations

from ray._private.accelerators.accelerator import AcceleratorManager


class AppleGPUAcceleratorManager(AcceleratorManager):
    """No variable hides it."""

    resource_name = "GPU"
    variable = ""
    is_shared = True
