"""Cores of AWS Neuron."""

from __future__ import annotations

from ray._private.accelerators.accelerator import AcceleratorManager

NEURON_RT_VISIBLE_CORES_ENV_VAR = "NEURON_RT_VISIBLE_CORES"
NOSET_AWS_NEURON_RT_VISIBLE_CORES_ENV_VAR = "RAY_EXPERIMENTAL_NOSET_NEURON_RT_VISIBLE_CORES"


class NeuronAcceleratorManager(AcceleratorManager):
    resource_name = "neuron_cores"
    variable = NEURON_RT_VISIBLE_CORES_ENV_VAR
    no_set_variable = NOSET_AWS_NEURON_RT_VISIBLE_CORES_ENV_VAR

    @classmethod
    def get_current_node_accelerator_type(cls) -> str | None:
        return "aws-neuron-core"
