"""Requests about actors, and the effects of their table: placing, publishing, ending.

Floor: gcs, shell around `actors.ActorTable`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from ray._core.common import messages as m
from ray._core.common.policy import Knobs, Outcome, pick_node
from ray._core.gcs.actors import ActorTable, Destroy, Effect, NameTaken, Place, Publish
from ray._core.gcs.nodes import NodeTable
from ray._core.gcs.publisher import Publisher
from ray._core.wire import aio

logger = logging.getLogger(__name__)


class ActorService:
    """Args: raylets: connections of living nodes, by node id (the server's). now_ms: the clock."""

    def __init__(
        self,
        nodes: NodeTable,
        raylets: dict[bytes, aio.Connection],
        publisher: Publisher,
        knobs: Knobs,
        now_ms: Callable[[], int],
    ) -> None:
        self.table = ActorTable()
        self._nodes = nodes
        self._raylets = raylets
        self._publisher = publisher
        self._knobs = knobs
        self._now_ms = now_ms
        self._rng = Random()
        self._spread_after = b""
        self._unplaced: dict[bytes, str] = {}
        """Actors that no node of today can hold, and why; looked at again when nodes change."""

    def handlers(self) -> dict[type, Callable[[aio.Connection, Any], None]]:
        return {
            m.RegisterActor: self._register,
            m.ActorReady: lambda _, message: self._act(self.table.dependencies_ready(message.actor_id)),
            m.GetActor: self._get,
            m.ListActors: self._list,
            m.KillActor: self._kill,
            m.ActorOutOfScope: lambda _, message: self._act(self.table.out_of_scope(message.actor_id, self._now_ms())),
            m.ActorDied: self._died,
        }

    def demands(self) -> list[m.Demand]:
        """Of the actors that no node can hold, for `ray status`."""
        specs = [(self.table.spec(actor_id), why) for actor_id, why in self._unplaced.items()]
        return [m.Demand(spec.placement.resources, 1, why, spec.job_id, True) for spec, why in specs]

    # ---------------------------------------------------------- what happens elsewhere

    def nodes_changed(self) -> None:
        """A node has joined, or has more than before: try again what had no place."""
        self._act(Place(actor_id) for actor_id in list(self._unplaced))

    def node_died(self, node_id: bytes, reason: str) -> None:
        self._act(self.table.node_died(node_id, reason, self._now_ms()))

    def owner_died(self, worker_id: bytes) -> None:
        self._act(self.table.owner_died(worker_id, self._now_ms()))

    # ---------------------------------------------------------- requests

    def _register(self, connection: aio.Connection, request: m.RegisterActor) -> None:
        spec = request.spec
        if request.get_if_exists:
            existing = self.table.named(spec.name, spec.namespace)
            if existing is not None:
                connection.reply(request, m.ActorRegistered(info=existing))
                return
        outcome = self.table.register(spec, request.handle_blob, request.ready, self._now_ms())
        if isinstance(outcome, NameTaken):
            text = (
                f"The name {spec.name!r} is taken in namespace {spec.namespace!r} by actor "
                f"{outcome.info.actor_id.hex()}. Choose another one, or pass get_if_exists=True to share that actor."
            )
            connection.fail(request, "name_taken", text)
            return
        self._publisher.subscribe(connection, "actor", spec.actor_id)
        info = self.table.get(spec.actor_id)
        assert info is not None
        connection.reply(request, m.ActorRegistered(info=info))
        self._act(outcome)

    def _get(self, connection: aio.Connection, request: m.GetActor) -> None:
        if request.actor_id:
            info = self.table.get(request.actor_id)
        else:
            info = self.table.named(request.name, request.namespace)
        connection.reply(request, m.ActorReply(info=info))

    def _list(self, connection: aio.Connection, request: m.ListActors) -> None:
        infos = self.table.living_named(request.namespace) if request.named_only else self.table.infos()
        connection.reply(request, m.ActorList(actors=infos))

    def _kill(self, connection: aio.Connection, request: m.KillActor) -> None:
        effects = self.table.kill(request.actor_id, request.no_restart, request.kind, request.cause, self._now_ms())
        self._act(effects)
        connection.reply(request)

    def _died(self, _: aio.Connection, message: m.ActorDied) -> None:
        died = self.table.died(message.actor_id, message.incarnation, message.kind, message.cause, self._now_ms())
        self._act(died)

    # ---------------------------------------------------------- effects

    def _act(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Publish():
                    self._publisher.publish("actor", m.ActorChanged(effect.info), effect.info.actor_id)
                case Place():
                    self._place(effect.actor_id)
                case Destroy():
                    raylet = self._raylets.get(effect.node_id)
                    if raylet is not None:
                        raylet.send(m.DestroyActor(effect.actor_id, effect.graceful, effect.cause))

    def _place(self, actor_id: bytes) -> None:
        """Ask the raylet of the best node; it queues the actor until the resources that it holds are free."""
        self._unplaced.pop(actor_id, None)
        if not self.table.wants_place(actor_id):
            return
        spec, info = self.table.spec(actor_id), self.table.get(actor_id)
        assert info is not None
        choice = pick_node(
            spec.placement.resources,
            self._nodes.views(),
            spec.placement.strategy,
            spec.placement.label_selector,
            rng=self._rng,
            local=spec.owner.node_id,
            spread_after=self._spread_after,
            knobs=self._knobs,
        )
        if choice.outcome is Outcome.UNSCHEDULABLE:
            self._act(
                self.table.creation_failed(actor_id, info.incarnation, "unschedulable", choice.why, b"", self._now_ms())
            )
            return
        raylet = self._raylets.get(choice.node_id) if choice.node_id else None
        if choice.node_id is None or raylet is None:
            self._unplaced[actor_id] = choice.why
            logger.info("Actor %s (%s) has no place: %s", actor_id.hex(), spec.class_name, choice.why)
            return
        if spec.placement.strategy.kind == "SPREAD":
            self._spread_after = choice.node_id
        self.table.placed(actor_id, choice.node_id)
        request = m.CreateActor(spec=spec, incarnation=info.incarnation, num_restarts=info.num_restarts)
        future = raylet.request(request)
        future.add_done_callback(lambda future: self._answered(actor_id, request.incarnation, future))

    def _answered(self, actor_id: bytes, incarnation: int, future: asyncio.Future[m.ActorCreated]) -> None:
        try:
            created = future.result()
        except aio.RequestFailed as failed:
            effects = self.table.creation_failed(
                actor_id, incarnation, failed.kind, failed.message, failed.detail, self._now_ms()
            )
        except (aio.ConnectionLost, asyncio.CancelledError):
            return  # the node is dead, and `node_died` says so
        else:
            effects = self.table.created(actor_id, incarnation, created.address, created.pid, created.repr_name)
        self._act(effects)
