"""Processors of Tenstorrent."""

from __future__ import annotations

from ray._private.accelerators.accelerator import AcceleratorManager

TENSTORRENT_VISIBLE_DEVICES_ENV_VAR = "TT_VISIBLE_DEVICES"
NOSET_TENSTORRENT_VISIBLE_DEVICES_ENV_VAR = "RAY_EXPERIMENTAL_NOSET_TENSTORRENT_VISIBLE_DEVICES"


class TTNPUAcceleratorManager(AcceleratorManager):
    resource_name = "TTNPU"
    variable = TENSTORRENT_VISIBLE_DEVICES_ENV_VAR
    no_set_variable = NOSET_TENSTORRENT_VISIBLE_DEVICES_ENV_VAR
    none_values = ("", "NoDevFiles")

    @classmethod
    def _refusal(cls, quantity: float) -> str:
        return f"{cls.resource_name} resource quantity ({quantity}) must be an integer."
