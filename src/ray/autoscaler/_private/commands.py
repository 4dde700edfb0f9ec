"""`debug_status`: what `ray status` prints, for tests."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._private.auto_init_hook import connected_core
from ray._private.not_included import absent_names
from ray.scripts.status_report import report, requested


def debug_status(status: Any = None, error: Any = None, verbose: bool = False, address: str | None = None) -> str:
    """Of the cluster that this process is connected to, now; what an autoscaler said is not looked at."""
    core = connected_core()
    cluster: m.ClusterResources = core.ask_gcs(m.GetClusterResources())
    nodes = core.ask_gcs(m.ListNodes()).nodes
    wanted = requested(core.ask_gcs)
    return report(cluster, nodes, datetime.datetime.now(), verbose=verbose, wanted=wanted)


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "There is no cluster launcher.",
        "RUN_ENV_TYPES _should_create_new_head create_or_update_cluster exec_cluster get_or_create_head_node "
        "kill_node teardown_cluster",
    )
