"""`debug_status`: what `ray status` prints, for tests."""

from __future__ import annotations

import datetime
from typing import Any

from ray._core.common import messages as m
from ray._private.auto_init_hook import connected_core
from ray.scripts.status_report import report, requested


def debug_status(status: Any = None, error: Any = None, verbose: bool = False, address: str | None = None) -> str:
    """Of the cluster that this process is connected to, now; what an autoscaler said is not looked at."""
    core = connected_core()
    cluster: m.ClusterResources = core.ask_gcs(m.GetClusterResources())
    nodes = core.ask_gcs(m.ListNodes()).nodes
    wanted = requested(core.ask_gcs)
    return report(cluster, nodes, datetime.datetime.now(), verbose=verbose, wanted=wanted)
