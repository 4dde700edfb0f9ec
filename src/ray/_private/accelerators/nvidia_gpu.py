"""GPUs of NVIDIA."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from ray._private.accelerators.accelerator import AcceleratorManager

CUDA_VISIBLE_DEVICES_ENV_VAR = "CUDA_VISIBLE_DEVICES"
NOSET_CUDA_VISIBLE_DEVICES_ENV_VAR = "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"
_GPUS = "/proc/driver/nvidia/gpus/*"
_BRAND = re.compile(r"^(NVIDIA|Tesla)\s+")


class NvidiaGPUAcceleratorManager(AcceleratorManager):
    resource_name = "GPU"
    variable = CUDA_VISIBLE_DEVICES_ENV_VAR
    no_set_variable = NOSET_CUDA_VISIBLE_DEVICES_ENV_VAR
    device_files = (_GPUS,)
    none_values = ("", "NoDevFiles")
    is_shared = True

    @classmethod
    def get_current_node_accelerator_type(cls) -> str | None:
        for directory in glob.glob(_GPUS):
            for line in (Path(directory) / "information").read_text().splitlines():
                name, _, model = line.partition(":")
                if name == "Model":
                    return cls._gpu_name_to_accelerator_type(model.strip())
        return None

    @staticmethod
    def _gpu_name_to_accelerator_type(name: str | None) -> str | None:
        """The model's word, as `ray.util.accelerators` has it: "A100" of "NVIDIA A100-SXM4-40GB"."""
        if name is None:
            return None
        model = _BRAND.sub("", name)
        first = re.match(r"[A-Z]+[0-9]+[A-Z]?(?![a-z0-9])", model)
        return first[0] if first else model.replace(" ", "-")
