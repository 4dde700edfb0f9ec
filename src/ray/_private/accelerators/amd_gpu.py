"""GPUs of AMD."""

from __future__ import annotations

from ray._private.accelerators.accelerator import AcceleratorManager

HIP_VISIBLE_DEVICES_ENV_VAR = "HIP_VISIBLE_DEVICES"
NOSET_HIP_VISIBLE_DEVICES_ENV_VAR = "RAY_EXPERIMENTAL_NOSET_HIP_VISIBLE_DEVICES"


class AMDGPUAcceleratorManager(AcceleratorManager):
    resource_name = "GPU"
    variable = HIP_VISIBLE_DEVICES_ENV_VAR
    no_set_variable = NOSET_HIP_VISIBLE_DEVICES_ENV_VAR
    none_values = ("", "NoDevFiles")
    is_shared = True
