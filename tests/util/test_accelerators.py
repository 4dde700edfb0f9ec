"""Managers of accelerators. Source: Ray docs, "Accelerator support"."""

import pytest

from ray._private import accelerators
from ray._private.accelerators import amd_gpu, furiosa, nvidia_gpu, tpu

MANAGERS = sorted(accelerators.get_all_accelerator_managers(), key=lambda manager: manager.__name__)
WITH_VARIABLE = [manager for manager in MANAGERS if manager.get_visible_accelerator_ids_env_var()]


def test_each_resource_has_a_manager():
    names = {"GPU", "TPU", "HPU", "NPU", "neuron_cores", "RBLN", "FURIOSA", "MBLT", "TTNPU"}
    assert accelerators.get_all_accelerator_resource_names() == names
    for name in names:
        manager = accelerators.get_accelerator_manager_for_resource(name)
        assert manager is not None
        assert manager.get_resource_name() == name
    assert accelerators.get_accelerator_manager_for_resource("other") is None


@pytest.mark.parametrize("manager", WITH_VARIABLE)
def test_a_process_is_told_its_devices(manager, monkeypatch):
    variable = manager.get_visible_accelerator_ids_env_var()
    monkeypatch.delenv(variable, raising=False)
    assert manager.get_current_process_visible_accelerator_ids() is None
    monkeypatch.setenv(variable, "")
    assert manager.get_current_process_visible_accelerator_ids() == []
    monkeypatch.setenv(tpu.TPU_HOST_BOUNDS_ENV_VAR, "")
    monkeypatch.setenv(tpu.TPU_CHIPS_PER_HOST_BOUNDS_ENV_VAR, "")
    manager.set_current_process_visible_accelerator_ids(["0", "1"])
    assert manager.get_current_process_visible_accelerator_ids() == ["0", "1"]
    monkeypatch.setenv(manager.no_set_variable, "1")
    manager.set_current_process_visible_accelerator_ids(["5"])
    assert manager.get_current_process_visible_accelerator_ids() == ["0", "1"]


def test_parts_of_a_device_are_refused_where_it_cannot_be_shared():
    assert nvidia_gpu.NvidiaGPUAcceleratorManager.validate_resource_request_quantity(0.5) == (True, None)
    assert furiosa.FuriosaAcceleratorManager.validate_resource_request_quantity(2) == (True, None)
    for manager, amount, words in (
        (furiosa.FuriosaAcceleratorManager, 0.5, "must be a whole number"),
        (tpu.TPUAcceleratorManager, 3, r"Supported configs: \(1, 2, 4, 8\)"),
        (accelerators.HPUAcceleratorManager, 1.5, "must be whole numbers"),
        (accelerators.TTNPUAcceleratorManager, 0.5, "must be an integer"),
    ):
        is_valid, message = manager.validate_resource_request_quantity(amount)
        assert not is_valid
        with pytest.raises(ValueError, match=words):
            raise ValueError(message)


def test_models_are_named_as_in_the_constants():
    name = nvidia_gpu.NvidiaGPUAcceleratorManager._gpu_name_to_accelerator_type
    assert [name(each) for each in ("Tesla V100-SXM2-16GB", "NVIDIA A10G", "NVIDIA H100 80GB HBM3", None)] == [
        *("V100", "A10G", "H100", None)
    ]
    assert name("NVIDIA GeForce RTX 3090") == "GeForce-RTX-3090"
    assert amd_gpu.AMDGPUAcceleratorManager.get_current_node_accelerator_type() is None
