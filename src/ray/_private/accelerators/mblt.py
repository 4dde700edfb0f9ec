"""Processors of Mobilint."""

from __future__ import annotations

from ray._private.accelerators.accelerator import AcceleratorManager

MBLT_RT_VISIBLE_DEVICES_ENV_VAR = "QBRUNTIME_VISIBLE_DEVICES"
NOSET_MBLT_RT_VISIBLE_DEVICES_ENV_VAR = "RAY_EXPERIMENTAL_NOSET_MBLT_RT_VISIBLE_DEVICES"


class MBLTAcceleratorManager(AcceleratorManager):
    resource_name = "MBLT"
    variable = MBLT_RT_VISIBLE_DEVICES_ENV_VAR
    no_set_variable = NOSET_MBLT_RT_VISIBLE_DEVICES_ENV_VAR
