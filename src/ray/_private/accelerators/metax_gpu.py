"""GPUs of MetaX."""

from __future__ import annotations

from ray._private.accelerators.accelerator import AcceleratorManager

CUDA_VISIBLE_DEVICES_ENV_VAR = "CUDA_VISIBLE_DEVICES"
NOSET_CUDA_VISIBLE_DEVICES_ENV_VAR = "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"


class MetaxGPUAcceleratorManager(AcceleratorManager):
    resource_name = "GPU"
    variable = CUDA_VISIBLE_DEVICES_ENV_VAR
    no_set_variable = NOSET_CUDA_VISIBLE_DEVICES_ENV_VAR
    is_shared = True
