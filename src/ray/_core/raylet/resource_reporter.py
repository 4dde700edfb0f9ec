"""Tells the GCS what this node has free and what waits for more, whenever that changes.

Floor: raylet, shell. Each report is complete in itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common.resources import UNIT

if TYPE_CHECKING:
    from ray._core.raylet.leasing import LeaseManager
    from ray._core.raylet.server import Raylet

STORE = "object_store_memory"


class ResourceReporter:
    """`version`: of the last report."""

    def __init__(self, raylet: Raylet, leases: LeaseManager) -> None:
        self._raylet, self._leases = raylet, leases
        self.version = 0
        self._reported: Any = None
        self._is_owed = False
        self._timer: asyncio.TimerHandle | None = None

    def owe(self) -> None:
        """Others have taken something off their view of this node: they must hear how it is, even if as before."""
        self._is_owed = True

    def report(self) -> None:
        """Send what changed now, but no more often than the report interval; the last state always leaves."""
        if self._timer is None:
            self._send()

    def report_anew(self) -> None:
        """To a GCS that knows nothing of this node's resources."""
        self._reported = None
        self.report_now()

    def report_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._send()

    def _send(self) -> None:
        self._timer = None
        if self._raylet.gcs.is_away:  # `report_anew` follows
            return
        leases = self._leases
        available, demands = dict(leases.scheduler.available), leases.demands()
        if STORE in available:
            available[STORE] -= self._raylet.objects.table.used_bytes * UNIT
        if (available, demands) == self._reported and not self._is_owed:
            return
        self._reported, self._is_owed = (available, demands), False
        self.version += 1
        total = dict(leases.scheduler.total)
        self._raylet.gcs.send(m.ReportResources(self._raylet.node_id, self.version, available, total, demands))
        interval_s = max(self._raylet.config.resource_report_interval_ms, len(leases.view.rows)) / 1000
        self._timer = asyncio.get_running_loop().call_later(interval_s, self._send)
