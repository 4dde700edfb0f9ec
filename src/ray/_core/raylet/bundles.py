"""Bundles of placement groups on this node: reserved, made usable, given back with all that runs in them.

Floor: raylet, shell around `scheduler`, which counts the resources. The GCS orders; see gcs.groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common.groups import MARK, bundle_resources, mark_of
from ray._core.raylet.actor_host import Hosted
from ray._core.wire import aio

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet

REMOVED = "Destroying worker since its placement group was removed."
MOVED = "The bundle of its placement group was given back."


class BundleManager:
    def __init__(self, raylet: Raylet) -> None:
        self._raylet = raylet
        self._bundles: dict[tuple[bytes, int], m.BundleSpec] = {}
        self._usable: set[tuple[bytes, int]] = set()
        self.handlers: dict[type, Any] = {
            m.PrepareBundles: self._prepare,
            m.CommitBundles: self._commit,
            m.ReturnBundles: self._return,
        }

    def __repr__(self) -> str:
        return f"<BundleManager reserved={len(self._bundles)} usable={len(self._usable)}>"

    def held(self) -> list[tuple[bytes, int]]:
        """Group and index of all bundles here, for a GCS that this raylet registers with."""
        return list(self._bundles)

    def _prepare(self, connection: aio.Connection, request: m.PrepareBundles) -> None:
        scheduler, taken = self._raylet.leases.scheduler, list[tuple[bytes, int]]()
        for bundle in request.bundles:
            key = (request.group_id, bundle.index)
            if not scheduler.try_take((MARK, *key), bundle.resources):
                for other in taken:
                    scheduler.release((MARK, *other))
                connection.fail(request, "busy", "The resources are not free any more.")
                self._raylet.leases.bundles_changed(False)
                return
            taken.append(key)
        for bundle in request.bundles:
            self._bundles[request.group_id, bundle.index] = bundle
            if request.commit:
                self._make_usable(request.group_id, bundle.index)
        connection.reply(request)
        self._raylet.leases.bundles_changed(request.commit)

    def _commit(self, connection: aio.Connection, request: m.CommitBundles) -> None:
        for index in request.indexes:
            if (request.group_id, index) in self._bundles:
                self._make_usable(request.group_id, index)
        connection.reply(request)
        self._raylet.leases.bundles_changed(True)

    def _make_usable(self, group_id: bytes, index: int) -> None:
        if (group_id, index) not in self._usable:
            self._usable.add((group_id, index))
            resources = self._bundles[group_id, index].resources
            self._raylet.leases.scheduler.add_bundle(group_id, index, bundle_resources(group_id, index, resources))

    def _return(self, connection: aio.Connection, message: m.ReturnBundles) -> None:
        leases = self._raylet.leases
        cause = REMOVED if message.removed else MOVED
        for index in message.indexes:
            key = (message.group_id, index)
            bundle = self._bundles.pop(key, None)
            if bundle is None:
                continue
            if key in self._usable:
                self._usable.discard(key)
                self._empty(message.group_id, index, cause)
                gained = bundle_resources(message.group_id, index, bundle.resources)
                leases.scheduler.remove_bundle(message.group_id, index, gained)
            leases.scheduler.release((MARK, *key))
        for hosted in self._waiting_actors(message.group_id):
            self._raylet.actors.lost_bundle(hosted, message.removed)
        if message.removed:
            leases.group_removed(message.group_id)
        connection.reply(message)
        leases.reconsider()

    def _empty(self, group_id: bytes, index: int, cause: str) -> None:
        """End what runs in the bundle; its resources count as free at once, although the processes still die."""
        leases = self._raylet.leases
        for lease_id in leases.scheduler.leases_holding(mark_of(group_id, index)):
            worker = self._raylet.pool.by_lease(lease_id)
            leases.scheduler.release(lease_id)
            if worker is not None:
                self._raylet.kill(worker, cause)

    def _waiting_actors(self, group_id: bytes) -> list[Hosted]:
        """Actors of the group that wait here for a bundle with room: there may be none any more."""
        scheduler = self._raylet.leases.scheduler
        if scheduler.bundles.get(group_id):
            return []
        return [waiting.key for waiting in scheduler.waiting_in(group_id) if isinstance(waiting.key, Hosted)]
