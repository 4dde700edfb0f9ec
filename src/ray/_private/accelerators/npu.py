"""Ascend processors."""

from __future__ import annotations

from ray._private.accelerators.accelerator import AcceleratorManager

ASCEND_RT_VISIBLE_DEVICES_ENV_VAR = "ASCEND_RT_VISIBLE_DEVICES"
NOSET_ASCEND_RT_VISIBLE_DEVICES_ENV_VAR = "RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES"


class NPUAcceleratorManager(AcceleratorManager):
    resource_name = "NPU"
    variable = ASCEND_RT_VISIBLE_DEVICES_ENV_VAR
    no_set_variable = NOSET_ASCEND_RT_VISIBLE_DEVICES_ENV_VAR
    none_values = ("", "NoDevFiles")
    device_files = ("/dev/davinci[0-9]*",)
    is_shared = True
