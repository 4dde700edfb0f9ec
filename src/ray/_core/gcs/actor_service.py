"""Requests about actors, and the effects of their table: placing, publishing, ending.

Floor: gcs, shell around `actors.ActorTable`.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import msgspec

from ray._core.common import messages as m
from ray._core.common.groups import group_demand
from ray._core.common.policy import Knobs, Outcome, pick_of_many
from ray._core.gcs.actors import ActorTable, Destroy, Effect, NameTaken, Place, Publish
from ray._core.gcs.journal import Journal
from ray._core.gcs.nodes import NodeTable
from ray._core.gcs.publisher import Publisher
from ray._core.wire import aio

logger = logging.getLogger(__name__)
EVENTS_KEPT = 8
STORIES_KEPT = 10_000
"""Of so many actors, those that changed last."""


_EVENTS = {
    "PENDING_CREATION": "ready to be created",
    "ALIVE": "created",
    "RESTARTING": "its process ended, and it starts again",
    "DEAD": "died",
}
"""Of stories, by the state that an actor has come to."""


class ActorService:
    """Args: raylets: connections of living nodes, by node id (the server's). now_ms: the clock. rng: breaks ties."""

    def __init__(
        self,
        nodes: NodeTable,
        raylets: dict[bytes, aio.Connection],
        publisher: Publisher,
        journal: Journal,
        knobs: Knobs,
        now_ms: Callable[[], int],
        rng: Random,
    ) -> None:
        self.table = ActorTable()
        self._nodes = nodes
        self._raylets = raylets
        self._publisher = publisher
        self._journal = journal
        self._knobs = knobs
        self._now_ms = now_ms
        self._rng = rng
        self.on_death: Callable[[bytes], None] = lambda actor_id: None
        """Called with the id of an actor that is dead for good."""
        self._spread_after = b""
        self.holds_placing = False
        """After a restart of the GCS, until it is known which nodes live and what they host."""
        self._unplaced: dict[bytes, str] = {}
        """Actors that no node of today can hold, and why; looked at again when nodes change."""
        self.stories: OrderedDict[bytes, list[tuple[int, str]]] = OrderedDict()
        """What befell each actor last: (when, in ms since the epoch; what). A GCS that restarts begins anew."""

    def handlers(self) -> dict[type, Callable[[aio.Connection, Any], None]]:
        return {
            m.RegisterActor: self._register,
            m.ActorReady: self._ready,
            m.ActorStarted: self._started,
            m.ActorStartFailed: self._start_failed,
            m.GetActor: self._get,
            m.ListActors: self._list,
            m.KillActor: self._kill,
            m.ActorOutOfScope: self._out_of_scope,
            m.ActorDied: self._died,
        }

    def demands(self) -> list[m.Demand]:
        """Of the actors that no node can hold, for `ray status`."""
        specs = [(self.table.spec(actor_id), why) for actor_id, why in self._unplaced.items()]
        return [m.Demand(spec.placement.resources, 1, why, spec.job_id, True) for spec, why in specs]

    def why_unplaced(self, actor_id: bytes) -> str:
        """Why no node of today can hold the actor; "" if it has a place, or needs none."""
        return self._unplaced.get(actor_id, "")

    def _note(self, info: m.ActorInfo) -> None:
        """Add to an actor's story that it has changed."""
        text = _EVENTS.get(info.state, info.state)
        cause = f": {info.death_cause}" if info.state in ("RESTARTING", "DEAD") and info.death_cause else ""
        known = self.stories.pop(info.actor_id, [])
        self.stories[info.actor_id] = [*known, (self._now_ms(), text + cause)][-EVENTS_KEPT:]
        if len(self.stories) > STORIES_KEPT:
            self.stories.popitem(last=False)

    # ---------------------------------------------------------- what happens elsewhere

    def nodes_changed(self) -> None:
        """A node has joined, or has more than before: try again what had no place, once for all that are alike."""
        stuck = set[bytes]()
        for actor_id in list(self._unplaced):
            alike = msgspec.msgpack.encode(self.table.spec(actor_id).placement)
            if alike not in stuck:
                self._act([Place(actor_id)])
                if actor_id in self._unplaced:
                    stuck.add(alike)

    def group_removed(self, group_id: bytes) -> None:
        """Actors that wait for a bundle of the group will never have a place; those that restart may wait for ever."""
        for actor_id in list(self._unplaced):
            spec, info = self.table.spec(actor_id), self.table.get(actor_id)
            if spec.placement.strategy.placement_group_id == group_id and info is not None and not info.num_restarts:
                text = (
                    "Could not create the actor because its associated placement group was removed.\n"
                    f"Required placement group {group_id.hex()} is removed."
                )
                now_ms = self._now_ms()
                self._act(self.table.creation_failed(actor_id, info.incarnation, "unschedulable", text, b"", now_ms))

    def node_died(self, node: m.NodeInfo) -> None:
        self._act(self.table.node_died(node.node_id, node.death_message, self._now_ms(), preempted=node.preempted))

    def node_is_back(self, node_id: bytes, hosted: list[m.HostedActor]) -> None:
        """A raylet has registered, for the first time or again."""
        self._act(self.table.reconcile(node_id, hosted, self._now_ms()))

    def restore(self) -> None:
        """What an earlier GCS wrote; nothing is placed before `resume`."""
        self.table.restore(self._journal.load("actor"))
        self.holds_placing = True

    def resume(self) -> None:
        self.holds_placing = False
        self._act(self.table.homeless())

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
                f"The name {spec.name} (namespace={spec.namespace}) is already taken. Please use a different name or "
                f"get the existing actor using ray.get_actor('{spec.name}', namespace='{spec.namespace}'), or by "
                "get_if_exists=True."
            )
            connection.fail(request, "name_taken", text)
            return
        self._publisher.subscribe(connection, "actor", spec.actor_id)
        info = self.table.get(spec.actor_id)
        assert info is not None
        connection.reply(request, m.ActorRegistered(info=info))
        self._act(outcome)

    def _ready(self, connection: aio.Connection, request: m.ActorReady) -> None:
        self._act(self.table.dependencies_ready(request.actor_id))
        connection.reply(request)

    def _out_of_scope(self, connection: aio.Connection, request: m.ActorOutOfScope) -> None:
        self._act(self.table.out_of_scope(request.actor_id, self._now_ms()))
        connection.reply(request)

    def _started(self, _: aio.Connection, message: m.ActorStarted) -> None:
        created = self.table.created(
            message.actor_id, message.incarnation, message.address, message.pid, message.repr_name
        )
        self._act(created)

    def _start_failed(self, connection: aio.Connection, message: m.ActorStartFailed) -> None:
        failed = self.table.creation_failed(
            message.actor_id,
            message.incarnation,
            message.kind,
            message.message,
            message.detail,
            self._now_ms(),
            message.node_id,
        )
        self._act(failed)
        connection.reply(message)

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

    def _died(self, connection: aio.Connection, message: m.ActorDied) -> None:
        died = self.table.died(message.actor_id, message.incarnation, message.kind, message.cause, self._now_ms())
        self._act(died)
        connection.reply(message)

    # ---------------------------------------------------------- effects

    def _act(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Publish():
                    self._note(effect.info)
                    self._publisher.publish("actor", m.ActorChanged(effect.info), effect.info.actor_id)
                    if effect.info.state == "DEAD":
                        self._unplaced.pop(effect.info.actor_id, None)
                        self.on_death(effect.info.actor_id)
                case Place():
                    self._place(effect.actor_id)
                case Destroy():
                    raylet = self._raylets.get(effect.node_id)
                    if raylet is not None:
                        raylet.send(m.DestroyActor(effect.actor_id, effect.incarnation, effect.graceful, effect.cause))
        for actor_id, row in self.table.take_rows():
            self._journal.put("actor", actor_id, row)

    def _place(self, actor_id: bytes) -> None:
        """Ask the raylet of the best node; it queues the actor until the resources that it holds are free."""
        known_why = self._unplaced.get(actor_id)
        if self.holds_placing or not self.table.wants_place(actor_id):
            self._unplaced.pop(actor_id, None)
            return
        spec, info = self.table.spec(actor_id), self.table.get(actor_id)
        assert info is not None
        choice = pick_of_many(
            spec.placement.resources,
            self._nodes.rows,
            spec.placement.strategy,
            spec.placement.label_selector,
            spec.placement.fallback_selectors,
            rng=self._rng,
            local=spec.owner.node_id,
            spread_after=self._spread_after,
            knobs=self._knobs,
        )
        if choice.outcome is Outcome.UNSCHEDULABLE:
            self._unplaced.pop(actor_id, None)
            self._act(
                self.table.creation_failed(actor_id, info.incarnation, "unschedulable", choice.why, b"", self._now_ms())
            )
            return
        raylet = self._raylets.get(choice.node_id) if choice.node_id else None
        if choice.node_id is None or raylet is None:
            self._unplaced[actor_id] = choice.why
            if choice.why != known_why:  # it is looked at whenever a node reports
                logger.info("Actor %s (%s) has no place: %s", actor_id.hex(), spec.class_name, choice.why)
            return
        self._unplaced.pop(actor_id, None)
        if spec.placement.strategy.kind == "SPREAD":
            self._spread_after = choice.node_id
        self.table.placed(actor_id, choice.node_id)
        is_grouped = spec.placement.strategy.kind == "PLACEMENT_GROUP"
        held = group_demand(spec.held, spec.placement.strategy) if is_grouped else spec.held
        self._nodes.debit(choice.node_id, held)  # or all of a burst would go where the last report showed room for one
        raylet.send(m.CreateActor(spec, info.incarnation, info.num_restarts))
