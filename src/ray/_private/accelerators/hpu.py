"""Gaudi processors of Intel."""

from __future__ import annotations

from ray._private.accelerators.accelerator import AcceleratorManager

HABANA_VISIBLE_DEVICES_ENV_VAR = "HABANA_VISIBLE_MODULES"
NOSET_HABANA_VISIBLE_MODULES_ENV_VAR = "RAY_EXPERIMENTAL_NOSET_HABANA_VISIBLE_MODULES"


class HPUAcceleratorManager(AcceleratorManager):
    resource_name = "HPU"
    variable = HABANA_VISIBLE_DEVICES_ENV_VAR
    no_set_variable = NOSET_HABANA_VISIBLE_MODULES_ENV_VAR
