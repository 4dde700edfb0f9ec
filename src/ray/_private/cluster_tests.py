"""What tests ask of a cluster: its actors, nodes, placement groups and resources. Names of `test_utils`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import ray
from ray._common.test_utils import wait_for_condition
from ray._private import process_tests
from ray._private.waiting_tests import wait_for_assertion

_ACTOR_STATES = ("DEPENDENCIES_UNREADY", "PENDING_CREATION", "ALIVE", "RESTARTING", "DEAD")


def kill_actor_and_wait_for_failure(actor: Any, timeout: float = 10, retry_interval_ms: float = 100) -> None:
    """Kill an actor for good, and wait until the cluster says that it is dead.

    Raises:
        RuntimeError: it does not say so in time.
    """
    from ray._core.common import messages as m
    from ray._private.auto_init_hook import connected_core

    ray.kill(actor)
    request = m.GetActor(actor_id=actor._actor_id.binary())

    def is_dead() -> bool:
        info = connected_core().ask_gcs(request).info
        return info is None or info.state == "DEAD"

    wait_for_condition(is_dead, timeout, retry_interval_ms)


def convert_actor_state(state: str | int) -> str:
    """The name of a state of an actor, from its number in `ActorTableData`, or itself. KeyError for none."""
    if isinstance(state, int):
        return dict(enumerate(_ACTOR_STATES))[state]
    if state not in _ACTOR_STATES:
        raise KeyError(state)
    return state


def wait_for_num_actors(num_actors: int, state: str | None = None, timeout: float = 10) -> bool:
    """Wait until there are so many actors, or more, of this state.

    Raises:
        RuntimeError: there are not in time.
    """
    from ray._private.global_state import actors

    def are_there() -> bool:
        return sum(state in (None, row["State"]) for row in actors().values()) >= num_actors

    wait_for_condition(are_there, timeout)
    return True


def get_actor_node_id(actor_handle: Any) -> str:
    """Where the actor runs: its node's id in hex."""
    node_id: str = ray.get(actor_handle.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id()))
    return node_id


def get_other_nodes(cluster: Any, exclude_head: bool = False) -> list[Any]:
    """The nodes of a `Cluster` that this driver is not connected to; without the head, if asked."""
    from ray._private.worker import global_worker

    here = global_worker.current_node_id.hex()
    return [node for node in cluster.list_all_nodes() if node.node_id != here and not (exclude_head and node.head)]


def get_non_head_nodes(cluster: Any) -> list[Any]:
    return [node for node in cluster.list_all_nodes() if not node.head]


def is_placement_group_removed(pg: Any) -> bool:
    """Whether the cluster has a record of the group, as removed."""
    row = ray.util.placement_group_table(pg)
    return bool(row) and row["state"] == "REMOVED"


def placement_group_assert_no_leak(pgs_created: Iterable[Any]) -> None:
    """Remove the groups, and wait until they are gone with all resources reserved for them.

    Raises:
        AssertionError: something of them is left.
    """
    groups = list(pgs_created)
    for group in groups:
        ray.util.remove_placement_group(group)
    wait_for_condition(lambda: all(is_placement_group_removed(group) for group in groups))

    def nothing_is_left() -> None:
        left = [name for name in ray.cluster_resources() if "_group_" in name]
        assert not left, f"Resources of removed placement groups: {left}"

    wait_for_assertion(nothing_is_left)


def make_global_state_accessor(ray_context: Any) -> Any:
    """A `GlobalStateAccessor`, connected. `ray_context`: what `ray.init` returned."""
    from ray._private.global_state_accessor import GcsClientOptions, GlobalStateAccessor

    accessor = GlobalStateAccessor(GcsClientOptions.create(ray_context.address_info["gcs_address"]))
    accessor.connect()
    return accessor


def object_memory_usage() -> float:
    """Bytes of the cluster's object stores that are in use."""
    name = "object_store_memory"
    return ray.cluster_resources()[name] - ray.available_resources().get(name, 0)


def no_resource_leaks_excluding_node_resources() -> bool:
    """Whether all resources of the cluster are free; "node:…" is not looked at."""

    def without_nodes(resources: dict[str, float]) -> dict[str, float]:
        return {name: amount for name, amount in resources.items() if not name.startswith("node:")}

    return without_nodes(ray.cluster_resources()) == without_nodes(ray.available_resources())


def check_spilled_mb(
    address: Any, spilled: float | None = None, restored: float | None = None, fallback: float | None = None
) -> None:
    """Wait until `ray memory` tells of so many MiB, in whole; of none, for None.

    Args:
        address: what `ray.init` returned.
    """
    from ray._private.internal_api import memory_summary

    if fallback is not None:
        raise NotImplementedError("check_spilled_mb(fallback=) is not available: that part is not counted by itself.")

    def agrees() -> bool:
        summary = memory_summary(address["address"], stats_only=True)
        told = [("Spilled", spilled), ("Restored", restored)]
        return all(f"{word} {int(mib)} MiB" in summary if mib else f"{word} " not in summary for word, mib in told)

    wait_for_condition(agrees, timeout=3)


def kill_raylet(raylet: dict[str, Any], graceful: bool = False) -> None:
    """End the raylet of a row of `ray.nodes()`, which is of this machine, and wait until it has ended.

    Raises:
        ValueError: the cluster knows no such node, or it is dead.
    """
    process_tests.end_raylet(raylet["NodeID"], graceful)


def get_load_metrics_report(webui_url: str) -> Any:
    """What the dashboard says of the load: its resources, and what waits."""
    from ray.dashboard.modules.dashboard_sdk import SubmissionClient

    answer = SubmissionClient(webui_url)._do_request("GET", "/api/cluster_status")
    answer.raise_for_status()
    return answer.json()["data"]["clusterStatus"]["loadMetricsReport"]


def check_local_files_gced(cluster: Any) -> bool:
    """Whether no node of the cluster holds files of a runtime environment any more."""
    kinds = ("conda", "pip", "uv", "working_dir_files", "py_modules_files")
    for node in cluster.list_all_nodes():
        for kind in kinds:
            directory = os.path.join(node.get_runtime_env_dir_path(), kind)
            names = os.listdir(directory) if os.path.isdir(directory) else []
            if any(not name.endswith((".lock", ".txt")) for name in names):
                print(f"{directory} still has {names}")
                return False
    return True
