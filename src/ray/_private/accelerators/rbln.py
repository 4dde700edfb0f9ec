"""Processors of Rebellions."""

from __future__ import annotations

from ray._private.accelerators.accelerator import AcceleratorManager

RBLN_RT_VISIBLE_DEVICES_ENV_VAR = "RBLN_DEVICES"
NOSET_RBLN_RT_VISIBLE_DEVICES_ENV_VAR = "RAY_EXPERIMENTAL_NOSET_RBLN_RT_VISIBLE_DEVICES"


class RBLNAcceleratorManager(AcceleratorManager):
    resource_name = "RBLN"
    variable = RBLN_RT_VISIBLE_DEVICES_ENV_VAR
    no_set_variable = NOSET_RBLN_RT_VISIBLE_DEVICES_ENV_VAR
