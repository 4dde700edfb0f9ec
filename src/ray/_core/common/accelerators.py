"""Kinds of accelerators, and the environment variables by which libraries are told which devices they may use.

Floor: common, pure. Source: Ray docs, "Accelerator support".
"""

from __future__ import annotations

from collections.abc import Mapping

VARIABLES = {
    "GPU": "CUDA_VISIBLE_DEVICES",
    "TPU": "TPU_VISIBLE_CHIPS",
    "NPU": "ASCEND_RT_VISIBLE_DEVICES",
    "HPU": "HABANA_VISIBLE_MODULES",
    "neuron_cores": "NEURON_RT_VISIBLE_CORES",
    "RBLN": "RBLN_DEVICES",
    "FURIOSA": "FURIOSA_DEVICES",
    "MBLT": "QBRUNTIME_VISIBLE_DEVICES",
    "TTNPU": "TT_VISIBLE_DEVICES",
}
NO_SET = "RAY_EXPERIMENTAL_NOSET_"
"""Before the name of a variable: "1" leaves that variable to the user."""
_NO_SET_NAMES = {
    "MBLT": "MBLT_RT_VISIBLE_DEVICES",
    "RBLN": "RBLN_RT_VISIBLE_DEVICES",
    "TTNPU": "TENSTORRENT_VISIBLE_DEVICES",
}
"""Where Ray has another name behind it than the variable's."""


def device_names(totals: Mapping[str, int], unit: int, environment: Mapping[str, str]) -> dict[str, list[str]]:
    """The devices of a node by kind: those that its own variable lists, else numbers.

    Args:
        totals: amounts of the node, fixed point.
    """
    found = {}
    for kind, variable in VARIABLES.items():
        count = totals.get(kind, 0) // unit
        listed = [name for name in environment.get(variable, "").split(",") if name]
        if count:
            found[kind] = listed[:count] if len(listed) >= count else [str(number) for number in range(count)]
    return found


def visible_devices(assigned: Mapping[str, list[str]], environment: Mapping[str, str]) -> dict[str, str]:
    """Variables to set for a worker that was assigned these devices; kinds of which it has none are left alone."""
    return {
        VARIABLES[kind]: ",".join(names)
        for kind, names in assigned.items()
        if names
        and environment.get(NO_SET + _NO_SET_NAMES.get(kind, VARIABLES[kind]), "0") not in ("1", "true", "True")
    }
