"""Processors of FuriosaAI."""

from __future__ import annotations

import os

from ray._private.accelerators.accelerator import AcceleratorManager

FURIOSA_VISIBLE_DEVICES_ENV_VAR = "FURIOSA_DEVICES"
NOSET_FURIOSA_VISIBLE_DEVICES_ENV_VAR = "RAY_EXPERIMENTAL_NOSET_FURIOSA_DEVICES"
_PREFIX = "npu:"


class FuriosaAcceleratorManager(AcceleratorManager):
    """Its variable lists "npu:0"; Ray's ids are the numbers."""

    resource_name = "FURIOSA"
    variable = FURIOSA_VISIBLE_DEVICES_ENV_VAR
    no_set_variable = NOSET_FURIOSA_VISIBLE_DEVICES_ENV_VAR

    @classmethod
    def get_current_process_visible_accelerator_ids(cls) -> list[str] | None:
        listed = super().get_current_process_visible_accelerator_ids()
        return None if listed is None else [name.removeprefix(_PREFIX) for name in listed]

    @classmethod
    def set_current_process_visible_accelerator_ids(cls, ids: list[str]) -> None:
        if not os.environ.get(cls.no_set_variable):
            os.environ[cls.variable] = ",".join(f"{_PREFIX}{number}" for number in ids)

    @classmethod
    def _refusal(cls, quantity: float) -> str:
        return (
            "FURIOSA resource quantity must be a whole number. "
            "Furiosa NPUs do not support fractional resource sharing. "
            f"The specified quantity {quantity} is invalid."
        )
