"""What the GCS knows of why something waits, and whom else it asks.

Floor: gcs, shell. Actors and placement groups it knows itself; what a node or a process is to be asked is passed on; of
an object or a task whose owner is not named all processes are asked, and each tells what it knows.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ray._core.common import messages as m
from ray._core.wire import aio
from ray._core.wire.background import Background

if TYPE_CHECKING:
    from ray._core.gcs.server import GcsServer

ANSWER_TIMEOUT_S = 2.5
"""A node that does not answer in time is said to be silent; longer than a raylet waits for its processes."""
NODES_NAMED = 3


class InquiryService:
    def __init__(self, server: GcsServer) -> None:
        self._server = server
        self._background = Background()

    def inquire(self, connection: aio.Connection, request: m.Inquire) -> None:
        subject = request.subject
        if subject.node_id or subject.kind in ("object", "task"):
            self._background.answer(connection, request, self._pass_on(connection, request))
            return
        found = self._actor(subject) if subject.kind == "actor" else self._group(subject)
        connection.reply(request, m.Findings(found=found))

    async def _pass_on(self, connection: aio.Connection, request: m.Inquire) -> None:
        """To the node that is named, or to all."""
        subject, raylets = request.subject, self._server.nodes.raylets
        if subject.node_id:
            named = raylets.get(subject.node_id)
            if named is None:
                connection.fail(request, "gone", f"node {subject.node_id.hex()[:8]} has died")
                return
            asked = [named.request(m.Inquire(subject=subject))]
        else:
            asked = [raylet.request(m.Inquire(subject=subject)) for raylet in raylets.values()]
        told, silent = await aio.answers(asked, ANSWER_TIMEOUT_S)
        if not told and not silent and subject.node_id:
            connection.fail(request, "gone", str(asked[0].exception()))
            return
        found = [finding for each in told for finding in each.found]
        connection.reply(request, m.Findings(found=found, silent=silent + sum(each.silent for each in told)))

    # ---------------------------------------------------------- actors

    def _actor(self, subject: m.Subject) -> list[m.Finding]:
        service = self._server.actors
        info = service.table.get(subject.id)
        if info is None:
            return []
        now_ms = self._server.now_ms()
        story = service.stories.get(subject.id, ())
        since_ms = story[-1][0] if story else info.start_time_ms
        why = service.why_unplaced(subject.id)
        reason = m.ActorIs(info.state, info.num_restarts, info.max_restarts, info.death_cause, why)
        tells = info.num_restarts or info.state == "DEAD"
        events = [m.Event((now_ms - at_ms) / 1000, text) for at_ms, text in story if tells]
        name = info.class_name if not info.name else f"{info.class_name} {info.name!r}"
        links = self._next_of(subject, info)
        return [m.Finding(subject, reason, name, (now_ms - since_ms) / 1000, links, story=events)]

    def _next_of(self, subject: m.Subject, info: m.ActorInfo) -> list[m.Subject]:
        table = self._server.actors.table
        match info.state:
            case "DEPENDENCIES_UNREADY":
                owner = table.spec(subject.id).owner
                return [m.Subject("actor", subject.id, owner.node_id, owner.worker_id)]
            case "PENDING_CREATION" | "RESTARTING":
                node_id = table.node_of(subject.id)
                if node_id:
                    return [m.Subject("actor", subject.id, node_id)]
                return [m.Subject("group", info.placement_group_id)] if info.placement_group_id else []
            case "ALIVE" if info.address is not None:
                return [m.Subject("process", info.address.worker_id, info.address.node_id, info.address.worker_id)]
        return []

    # ---------------------------------------------------------- placement groups

    def _group(self, subject: m.Subject) -> list[m.Finding]:
        info = self._server.groups.table.get(subject.id)
        if info is None:
            return []
        missing = [bundle.resources for bundle in info.bundles if not info.nodes[bundle.index]]
        shapes = Counter(tuple(sorted(resources.items())) for resources in missing)
        reason = m.GroupIs(
            info.state,
            info.strategy,
            len(info.bundles),
            [(dict(shape), count) for shape, count in shapes.items()],
            info.infeasible,
        )
        for_s = (self._server.now_ms() - info.created_at_ms) / 1000
        links, more = [], 0
        if missing and info.state != "REMOVED":
            demand = max(missing, key=lambda resources: sum(resources.values()))
            nodes = [view.node_id for view in self._server.nodes.table.views() if view.alive and not view.draining]
            links = [m.Subject("node", node_id, node_id, demand=demand) for node_id in nodes[:NODES_NAMED]]
            more = max(len(nodes) - NODES_NAMED, 0)
        return [m.Finding(subject, reason, info.name, for_s, links, more)]
