"""Managers of the kinds of accelerators, by the resource that a task asks for."""

from __future__ import annotations

from ray._private.accelerators.accelerator import (
    RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO_ENV_VAR,
    AcceleratorManager,
)
from ray._private.accelerators.amd_gpu import AMDGPUAcceleratorManager
from ray._private.accelerators.apple_gpu import AppleGPUAcceleratorManager
from ray._private.accelerators.furiosa import FuriosaAcceleratorManager
from ray._private.accelerators.hpu import HPUAcceleratorManager
from ray._private.accelerators.intel_gpu import IntelGPUAcceleratorManager
from ray._private.accelerators.mblt import MBLTAcceleratorManager
from ray._private.accelerators.metax_gpu import MetaxGPUAcceleratorManager
from ray._private.accelerators.neuron import NeuronAcceleratorManager
from ray._private.accelerators.npu import NPUAcceleratorManager
from ray._private.accelerators.nvidia_gpu import NvidiaGPUAcceleratorManager
from ray._private.accelerators.rbln import RBLNAcceleratorManager
from ray._private.accelerators.tpu import TPUAcceleratorManager
from ray._private.accelerators.ttnpu import TTNPUAcceleratorManager

Manager = type[AcceleratorManager]
_GPUS: tuple[Manager, ...] = (
    NvidiaGPUAcceleratorManager,
    IntelGPUAcceleratorManager,
    AMDGPUAcceleratorManager,
    MetaxGPUAcceleratorManager,
    AppleGPUAcceleratorManager,
)
_OTHERS: tuple[Manager, ...] = (
    FuriosaAcceleratorManager,
    HPUAcceleratorManager,
    MBLTAcceleratorManager,
    NeuronAcceleratorManager,
    NPUAcceleratorManager,
    RBLNAcceleratorManager,
    TPUAcceleratorManager,
    TTNPUAcceleratorManager,
)


def get_all_accelerator_managers() -> set[Manager]:
    return {*_GPUS, *_OTHERS}


def get_all_accelerator_resource_names() -> set[str]:
    return {manager.get_resource_name() for manager in get_all_accelerator_managers()}


def get_accelerator_manager_for_resource(resource_name: str) -> Manager | None:
    """None for a resource that is no accelerator. "GPU" means the vendor whose GPUs are here; NVIDIA without any."""
    if resource_name == "GPU":
        return next((each for each in _GPUS if each.get_current_node_num_accelerators()), _GPUS[0])
    return next((each for each in _OTHERS if each.get_resource_name() == resource_name), None)


__all__ = [
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO_ENV_VAR",
    "AMDGPUAcceleratorManager",
    "AcceleratorManager",
    "AppleGPUAcceleratorManager",
    "FuriosaAcceleratorManager",
    "HPUAcceleratorManager",
    "IntelGPUAcceleratorManager",
    "MBLTAcceleratorManager",
    "MetaxGPUAcceleratorManager",
    "NPUAcceleratorManager",
    "NeuronAcceleratorManager",
    "NvidiaGPUAcceleratorManager",
    "RBLNAcceleratorManager",
    "TPUAcceleratorManager",
    "TTNPUAcceleratorManager",
    "get_accelerator_manager_for_resource",
    "get_all_accelerator_managers",
    "get_all_accelerator_resource_names",
]
