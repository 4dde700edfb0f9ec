"""Lease requests that no node of today can hold: they wait for one that can, and their drivers are told why.

Floor: raylet, shell.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from ray._core.common import messages as m
from ray._core.common.resources import to_float
from ray._core.raylet.lines import Waiting
from ray._core.wire import aio

if TYPE_CHECKING:
    from ray._core.raylet.leasing import LeaseManager
    from ray._core.raylet.server import Raylet


class SetAside:
    """`requests`: by key."""

    def __init__(self, raylet: Raylet, leases: LeaseManager) -> None:
        self._raylet, self._leases = raylet, leases
        self.requests: dict[object, Waiting] = {}
        self._warnings_due: set[object] = set()
        self._warned: dict[bytes, set[bytes]] = {}
        """Shapes of requests of which a job's driver has been warned."""
        self._watched: set[bytes] = set()
        """Placement groups of which something is, or was, set aside."""

    def add(self, waiting: Waiting) -> None:
        """Keep it, hear of the end of its placement group, and after a while tell its driver why it waits."""
        self.requests[waiting.key] = waiting
        group_id = waiting.request.scheduling.strategy.placement_group_id
        if group_id and group_id not in self._watched:
            self._watched.add(group_id)
            self._raylet.gcs.request(m.Subscribe(channel="group", key=group_id))
        if waiting.key not in self._warnings_due:
            self._warnings_due.add(waiting.key)
            delay_s = self._raylet.config.infeasible_warning_s
            asyncio.get_running_loop().call_later(delay_s, self._warn, waiting.key)

    def take_all(self) -> list[Waiting]:
        """The cluster has changed: all that is here, which whoever takes it places, or adds again."""
        requests, self.requests = self.requests, {}
        return list(requests.values())

    def waiting_for(self, group_id: bytes) -> list[Waiting]:
        """What waits for a bundle of that group."""
        if group_id not in self._watched:
            return []
        return [waiting for waiting in self.requests.values() if waiting.group_id == group_id]

    def watched_groups(self) -> list[bytes]:
        """Placement groups that this raylet must hear of, also from a GCS that has restarted."""
        return list(self._watched)

    def group_changed(self, _: aio.Connection, message: m.GroupChanged) -> None:
        if message.info.state == "REMOVED":
            self._leases.group_removed(message.info.group_id)
            self._watched.discard(message.info.group_id)
            self._raylet.gcs.send(m.Unsubscribe("group", message.info.group_id))

    def job_ended(self, job_id: bytes) -> None:
        """Its driver is gone: nobody is to be warned."""
        self._warned.pop(job_id, None)

    def _warn(self, key: object) -> None:
        """Once for each shape of a job: ten thousand tasks of a loop are one problem."""
        self._warnings_due.discard(key)
        waiting = self.requests.get(key)
        if waiting is None:
            return
        request: m.RequestLease = waiting.request
        shape, warned = msgspec.msgpack.encode((request.scheduling, request.name)), self._warned
        if shape in warned.setdefault(waiting.job_id, set()):
            return
        warned[waiting.job_id].add(shape)
        why = self._leases.why_not(waiting)
        text = (
            f"Error: No available node types can fulfill resource request {to_float(waiting.demand)}. Add suitable "
            f"node types to this cluster to resolve this issue. {request.name} waits until then: {why}."
        )
        self._raylet.gcs.send(m.ErrorEvent(waiting.job_id, "infeasible", text, "autoscaler"))
