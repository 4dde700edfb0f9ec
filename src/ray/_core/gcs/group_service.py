"""Requests about placement groups, and the effects of their table: reserving, committing, returning, publishing.

Floor: gcs, shell around `groups.GroupTable`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from ray._core.common import messages as m
from ray._core.gcs.groups import Commit, Effect, GroupTable, Prepare, Publish, Return
from ray._core.gcs.journal import Journal
from ray._core.gcs.nodes import NodeTable
from ray._core.gcs.publisher import Publisher
from ray._core.gcs.waiters import Waiters
from ray._core.wire import aio


class GroupService:
    """Args: raylets: connections of living nodes, by node id. now_ms: the clock."""

    def __init__(
        self,
        nodes: NodeTable,
        raylets: dict[bytes, aio.Connection],
        publisher: Publisher,
        journal: Journal,
        now_ms: Callable[[], int],
    ) -> None:
        self.table = GroupTable()
        self._nodes = nodes
        self._raylets = raylets
        self._publisher = publisher
        self._journal = journal
        self._now_ms = now_ms
        self.on_removal: Callable[[bytes], None] = lambda group_id: None
        """Called with the id of a group that was removed."""
        self.has_job_ended: Callable[[bytes], bool] = lambda job_id: False
        self.has_actor_died: Callable[[bytes], bool] = lambda actor_id: False
        self.holds_placing = False
        """After a restart of the GCS, until it is known which nodes live and which bundles they have."""
        self.waiting: Waiters[bytes, m.GetGroup] = Waiters()

    def handlers(self) -> dict[type, Callable[[aio.Connection, Any], None]]:
        return {
            m.CreateGroup: self._create,
            m.RemoveGroup: self._remove,
            m.GetGroup: self._get,
            m.ListGroups: lambda connection, r: connection.reply(r, m.GroupList(groups=self.table.infos())),
        }

    # ---------------------------------------------------------- requests

    def _create(self, connection: aio.Connection, request: m.CreateGroup) -> None:
        info = request.info
        if not self.table.create(info, self._now_ms()):
            text = (
                f"Failed to create placement group '{info.group_id.hex()}' because name '{info.name}' already exists."
            )
            connection.fail(request, "name_taken", text)
            return
        self._publisher.subscribe(connection, "group", info.group_id)  # before it is placed, so that no news is missed
        connection.reply(request)
        if info.creator_actor and self.has_actor_died(info.creator_actor):  # the order was on its way
            self._act(self.table.actor_died(info.creator_actor))
        if self.has_job_ended(info.job_id):
            self._act(self.table.job_finished(info.job_id))
        # Also while nothing is placed: the group itself must be in the journal.
        self._act([] if self.holds_placing else self.table.schedule(self._nodes.views(), info.group_id))

    def _remove(self, connection: aio.Connection, request: m.RemoveGroup) -> None:
        """Answered when all nodes have ended what ran in the group, or are gone."""
        unanswered = set(self._act(self.table.remove(request.group_id)))

        def returned(future: asyncio.Future[Any]) -> None:
            unanswered.discard(future)
            if not unanswered:
                connection.reply(request)

        if not unanswered:
            connection.reply(request)
        for future in list(unanswered):
            future.add_done_callback(returned)

    def _get(self, connection: aio.Connection, request: m.GetGroup) -> None:
        if request.group_id:
            info = self.table.get(request.group_id)
        else:
            info = self.table.named(request.name, request.namespace)
        if request.wait and info is not None and info.state not in ("CREATED", "REMOVED"):
            self.waiting.add(info.group_id, connection, request)
            return
        connection.reply(request, m.GroupReply(info=info))

    # ---------------------------------------------------------- what happens elsewhere

    def nodes_changed(self) -> None:
        """A node has joined, or has more than before."""
        if not self.holds_placing and self.table.pending():
            self._act(self.table.schedule(self._nodes.views()))

    def restore(self) -> None:
        """What an earlier GCS wrote; nothing is placed before `resume`."""
        self.table.restore(self._journal.load("group"))
        self.holds_placing = True

    def resume(self) -> None:
        self.holds_placing = False
        self.nodes_changed()

    def node_is_back(self, node_id: bytes, bundles: list[tuple[bytes, int]]) -> None:
        """A raylet has registered, for the first time or again."""
        self._act(self.table.reconcile(node_id, bundles))

    def node_is_away(self, node_id: bytes) -> None:
        """What was being reserved there may never have been ordered; what it holds it lists when it is back."""
        self._act(self.table.node_is_away(node_id, self._now_ms()))

    def node_died(self, node_id: bytes) -> None:
        self._act(self.table.node_died(node_id, self._now_ms()))
        self.nodes_changed()

    def job_finished(self, job_id: bytes) -> None:
        self._act(self.table.job_finished(job_id))

    def actor_died(self, actor_id: bytes) -> None:
        self._act(self.table.actor_died(actor_id))

    def demands(self) -> list[m.Demand]:
        """Bundles that have no place, for `ray status`."""
        return [
            m.Demand(bundle.resources, 1, f"placement group {info.strategy}", info.job_id)
            for info in self.table.pending()
            for bundle in info.bundles
            if not info.nodes[bundle.index]
        ]

    # ---------------------------------------------------------- effects

    def _act(self, effects: Iterable[Effect]) -> list[asyncio.Future[Any]]:
        """Carry out; returns the answers of raylets that give bundles back."""
        returns = []
        for effect in effects:
            match effect:
                case Publish():
                    self._publish(effect.info)
                case Prepare():
                    self._prepare(effect)
                case Commit():
                    commit = m.CommitBundles(group_id=effect.group_id, indexes=effect.indexes)
                    self._ask(effect, commit, self.table.committed)
                case Return():
                    raylet = self._raylets.get(effect.node_id)
                    if raylet is not None:
                        order = m.ReturnBundles(
                            group_id=effect.group_id, indexes=effect.indexes, removed=effect.removed
                        )
                        answer = raylet.request(order)
                        answer.add_done_callback(_seen)
                        returns.append(answer)
                        self._credit(effect)

        for group_id, row in self.table.take_rows():
            self._journal.put("group", group_id, row)
        return returns

    def _credit(self, effect: Return) -> None:
        info = self.table.get(effect.group_id)
        if info is not None:
            for index in effect.indexes:
                self._nodes.credit(effect.node_id, info.bundles[index].resources)

    def _prepare(self, effect: Prepare) -> None:
        for bundle in effect.bundles:
            self._nodes.debit(effect.node_id, bundle.resources)
        request = m.PrepareBundles(group_id=effect.group_id, bundles=effect.bundles, commit=effect.commit)
        self._ask(effect, request, self.table.prepared)

    def _ask(
        self,
        effect: Prepare | Commit,
        request: m.Request,
        answered: Callable[[bytes, int, bytes, bool, int], list[Effect]],
    ) -> None:
        def done(future: asyncio.Future[Any]) -> None:
            ok = not future.cancelled() and future.exception() is None
            self._act(answered(effect.group_id, effect.attempt, effect.node_id, ok, self._now_ms()))

        raylet = self._raylets.get(effect.node_id)
        if raylet is None:  # it died between the view and now
            self._act(answered(effect.group_id, effect.attempt, effect.node_id, False, self._now_ms()))
        else:
            raylet.request(request).add_done_callback(done)

    def _publish(self, info: m.PlacementGroupInfo) -> None:
        if info.state == "REMOVED":
            self.on_removal(info.group_id)
        self._publisher.publish("group", m.GroupChanged(info), info.group_id)
        if info.state == "REMOVED":  # nothing follows
            self._publisher.drop("group", info.group_id)
        if info.state in ("CREATED", "REMOVED"):
            for connection, request in self.waiting.take(info.group_id):
                connection.reply(request, m.GroupReply(info=info))


def _seen(future: asyncio.Future[Any]) -> None:
    """The node is gone: its bundles are too, and the node table tells."""
    if not future.cancelled():
        future.exception()
