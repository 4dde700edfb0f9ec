"""What `ray.init` is told of the node that it starts, or must not be told when it connects."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ray._core.node.params import NodeParams
from ray._private.not_yet import refuse

HIDDEN = (
    "_enable_object_reconstruction",
    "_memory",
    "_metrics_export_port",
    "_node_ip_address",
    "_node_name",
    "_plasma_directory",
    "_redis_password",
    "_redis_username",
    "_skip_env_hook",
    "_system_config",
    "_temp_dir",
    "object_spilling_directory",
)
"""Keyword arguments that are taken besides those of the signature.

Lineage reconstruction has no switch any more; the passwords are of a Redis that nothing here connects to.
"""
HIDDEN_NOT_YET = (
    "_driver_object_store_memory",
    "_tracing_startup_hook",
)
_OF_THE_NODE = (
    "num_cpus",
    "num_gpus",
    "resources",
    "labels",
    "object_store_memory",
    "_system_config",
    "_node_name",
    "_memory",
    "_plasma_directory",
    "object_spilling_directory",
    "_enable_object_reconstruction",
)


def check_names(kwargs: Mapping[str, Any]) -> None:
    """Raises RuntimeError for a keyword argument that `ray.init` does not have."""
    unknown = sorted(set(kwargs) - set(HIDDEN) - set(HIDDEN_NOT_YET))
    if unknown:
        raise RuntimeError(f"Unknown keyword argument(s): {', '.join(unknown)}")


def check_hidden(kwargs: Mapping[str, Any]) -> None:
    """Raises TypeError or ValueError for a bad value, NotImplementedError for what nothing here can honour."""
    refuse_given({name: kwargs.get(name) for name in HIDDEN_NOT_YET})
    system_config, temp = kwargs.get("_system_config"), kwargs.get("_temp_dir")
    if system_config is not None and not isinstance(system_config, dict):
        raise TypeError("The _system_config must be a dict.")
    if temp is not None and not os.path.isabs(temp):
        raise ValueError("temp_dir must be absolute path or None.")


def refuse_given(given: Mapping[str, Any]) -> None:
    refuse(next((f"ray.init with {name}={value!r}" for name, value in given.items() if value), None))


def check_joining(given: Mapping[str, Any]) -> None:
    """Raises ValueError for what belongs to a node, when it is there already."""
    for name in _OF_THE_NODE:
        if given.get(name) is not None:
            raise ValueError(
                f"When connecting to an existing cluster, {name} must not be provided: its nodes are there already."
            )


def head_params(given: Mapping[str, Any]) -> NodeParams:
    """The head that `ray.init` starts. Raises ValueError or TypeError for what no node can have."""
    return NodeParams(
        node_ip=given.get("_node_ip_address") or "127.0.0.1",
        node_name=given.get("_node_name"),
        num_cpus=given["num_cpus"],
        num_gpus=given["num_gpus"],
        resources=given["resources"] or {},
        labels=given["labels"] or {},
        object_store_memory=given["object_store_memory"],
        memory=given.get("_memory"),
        temp_dir=given.get("_temp_dir"),
        metrics_port=given.get("_metrics_export_port") or 0,
        shm_dir=given.get("_plasma_directory") or "/dev/shm",
        spill_dir=given.get("object_spilling_directory"),
        system_config=given.get("_system_config") or {},
        include_dashboard=given.get("include_dashboard"),
        dashboard_host=given.get("dashboard_host") or "127.0.0.1",
        dashboard_port=given.get("dashboard_port"),
    )
