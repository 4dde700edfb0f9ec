"""TPUs of Google."""

from __future__ import annotations

import os

from ray._private.accelerators.accelerator import AcceleratorManager

TPU_VALID_CHIP_OPTIONS = (1, 2, 4, 8)
TPU_VISIBLE_CHIPS_ENV_VAR = "TPU_VISIBLE_CHIPS"
NOSET_TPU_VISIBLE_CHIPS_ENV_VAR = "RAY_EXPERIMENTAL_NOSET_TPU_VISIBLE_CHIPS"
TPU_CHIPS_PER_HOST_BOUNDS_ENV_VAR = "TPU_CHIPS_PER_HOST_BOUNDS"
TPU_HOST_BOUNDS_ENV_VAR = "TPU_HOST_BOUNDS"
TPU_CHIPS_PER_HOST_BOUNDS_1_CHIP_CONFIG = "1,1,1"
TPU_CHIPS_PER_HOST_BOUNDS_2_CHIP_CONFIG = "1,2,1"
TPU_SINGLE_HOST_BOUNDS = "1,1,1"


class TPUAcceleratorManager(AcceleratorManager):
    resource_name = "TPU"
    variable = TPU_VISIBLE_CHIPS_ENV_VAR
    no_set_variable = NOSET_TPU_VISIBLE_CHIPS_ENV_VAR
    device_files = ("/dev/accel*", "/dev/vfio/[0-9]*")

    @classmethod
    def validate_resource_request_quantity(cls, quantity: float) -> tuple[bool, str | None]:
        if quantity in TPU_VALID_CHIP_OPTIONS:
            return True, None
        return (
            False,
            f"The number of requested 'TPU' was set to {quantity} which is not a supported chip configuration. "
            f"Supported configs: {TPU_VALID_CHIP_OPTIONS}",
        )

    @classmethod
    def set_current_process_visible_accelerator_ids(cls, ids: list[str]) -> None:
        """For a part of a host, with how its chips lie; for all of it, nothing is restricted."""
        if os.environ.get(cls.no_set_variable):
            return
        if len(ids) not in (1, 2):
            for name in (TPU_CHIPS_PER_HOST_BOUNDS_ENV_VAR, TPU_HOST_BOUNDS_ENV_VAR, TPU_VISIBLE_CHIPS_ENV_VAR):
                os.environ.pop(name, None)
            return
        os.environ[TPU_VISIBLE_CHIPS_ENV_VAR] = ",".join(ids)
        os.environ[TPU_CHIPS_PER_HOST_BOUNDS_ENV_VAR] = (
            TPU_CHIPS_PER_HOST_BOUNDS_1_CHIP_CONFIG if len(ids) == 1 else TPU_CHIPS_PER_HOST_BOUNDS_2_CHIP_CONFIG
        )
        os.environ[TPU_HOST_BOUNDS_ENV_VAR] = TPU_SINGLE_HOST_BOUNDS
