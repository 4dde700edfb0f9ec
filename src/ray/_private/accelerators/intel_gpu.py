"""GPUs of Intel."""

from __future__ import annotations

from ray._private.accelerators.accelerator import AcceleratorManager

ZE_AFFINITY_MASK_ENV_VAR = "ZE_AFFINITY_MASK"
NOSET_ZE_AFFINITY_MASK_ENV_VAR = "RAY_EXPERIMENTAL_NOSET_ZE_AFFINITY_MASK"
ONEAPI_DEVICE_SELECTOR_ENV_VAR = "ONEAPI_DEVICE_SELECTOR"


class IntelGPUAcceleratorManager(AcceleratorManager):
    resource_name = "GPU"
    variable = ZE_AFFINITY_MASK_ENV_VAR
    no_set_variable = NOSET_ZE_AFFINITY_MASK_ENV_VAR
    is_shared = True
