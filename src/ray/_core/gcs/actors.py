"""The life of every actor: registered, placed, created, restarted, dead.

Floor: gcs, pure. The server hands in what happened and carries out the effects. States, and what moves them:

    DEPENDENCIES_UNREADY --dependencies_ready--> PENDING_CREATION --created--> ALIVE
    PENDING_CREATION, ALIVE --died, restarts left--> RESTARTING --created--> ALIVE
    any --died without restarts, kill, out_of_scope, owner or job gone, creation failed--> DEAD

Each start of an actor has an incarnation of its own; reports about older ones change nothing, so an actor is never
restarted twice for one death.
Source: Ray docs, "Actor fault tolerance" and "Named actors".
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Mapping

import msgspec

from ray._core.common.messages import ActorInfo, ActorSpec, Address, HostedActor

DEAD_KEPT = 10_000
"""Dead actors stay listed up to this many; older ones are forgotten."""


@dataclasses.dataclass(frozen=True, slots=True)
class Publish:
    info: ActorInfo


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Choose a node and have its raylet create the actor; report `placed`, then `created` or `creation_failed`."""

    actor_id: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Destroy:
    """End the worker of this life of the actor, or what is left of its creation, at that node; of no later life."""

    actor_id: bytes
    incarnation: int
    node_id: bytes
    graceful: bool
    cause: str


Effect = Publish | Place | Destroy


@dataclasses.dataclass(frozen=True, slots=True)
class NameTaken:
    """Refusal of a registration: a living actor has the name."""

    info: ActorInfo


@dataclasses.dataclass(slots=True)
class Actor:
    """`node_id`: where it lives or is being created; b"" while it waits for a node."""

    spec: ActorSpec
    info: ActorInfo
    node_id: bytes = b""
    kill_cause: str = ""
    """This life of it is to end, as was ordered: again if the order is lost."""


class _Row(msgspec.Struct, array_like=True):
    """An actor in the storage."""

    spec: ActorSpec
    info: ActorInfo
    node_id: bytes
    kill_cause: str = ""


def _destroy_again(actor_id: bytes, incarnation: int, node_id: bytes, actor: Actor | None) -> Destroy:
    """The order to end it was lost: as it was, if that is known."""
    if actor is None or actor.info.state != "DEAD" or actor.info.death_kind != "OUT_OF_SCOPE":
        return Destroy(actor_id, incarnation, node_id, False, "The cluster has given it up.")
    return Destroy(actor_id, incarnation, node_id, True, actor.info.death_cause)


class ActorTable:
    """All actors by id; names by namespace."""

    def __init__(self) -> None:
        self._actors: dict[bytes, Actor] = {}
        self._names: dict[tuple[str, str], bytes] = {}
        self._by_owner: dict[bytes, set[bytes]] = {}
        self._by_node: dict[bytes, set[bytes]] = {}
        self._dead: deque[bytes] = deque()
        self._touched: dict[bytes, None] = {}

    def __repr__(self) -> str:
        return f"<ActorTable actors={len(self._actors)} dead={len(self._dead)} named={len(self._names)}>"

    # ---------------------------------------------------------- looking

    def get(self, actor_id: bytes) -> ActorInfo | None:
        actor = self._actors.get(actor_id)
        return None if actor is None else actor.info

    def has_died(self, actor_id: bytes) -> bool:
        """For good; also one that died so long ago that it is forgotten."""
        actor = self._actors.get(actor_id)
        return actor is None or actor.info.state == "DEAD"

    def spec(self, actor_id: bytes) -> ActorSpec:
        return self._actors[actor_id].spec

    def node_of(self, actor_id: bytes) -> bytes:
        """Where it lives or is being created; b"" while it waits for a node."""
        return self._actors[actor_id].node_id

    def named(self, name: str, namespace: str) -> ActorInfo | None:
        """The living actor of that name."""
        actor_id = self._names.get((namespace, name))
        return None if actor_id is None else self._actors[actor_id].info

    def infos(self) -> list[ActorInfo]:
        return [actor.info for actor in self._actors.values()]

    def living_named(self, namespace: str) -> list[ActorInfo]:
        """Named actors that live, of one namespace, or of all for ""."""
        return [
            self._actors[actor_id].info
            for (space, _), actor_id in self._names.items()
            if not namespace or space == namespace
        ]

    # ---------------------------------------------------------- rows in the storage

    def take_rows(self) -> list[tuple[bytes, bytes | None]]:
        """Rows that changed since the last call, by actor id; None: forgotten."""
        touched, self._touched = self._touched, {}
        return [(actor_id, self._row(actor_id)) for actor_id in touched]

    def _row(self, actor_id: bytes) -> bytes | None:
        actor = self._actors.get(actor_id)
        return (
            None
            if actor is None
            else msgspec.msgpack.encode(_Row(actor.spec, actor.info, actor.node_id, actor.kill_cause))
        )

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Fill the empty table with what an earlier GCS wrote."""
        decoded = ((actor_id, msgspec.msgpack.decode(data, type=_Row)) for actor_id, data in rows.items())
        for actor_id, row in sorted(decoded, key=lambda pair: pair[1].info.end_time_ms):  # who died first goes first
            actor = self._actors[actor_id] = Actor(row.spec, row.info, kill_cause=row.kill_cause)
            if row.info.state == "DEAD":
                self._dead.append(actor_id)
                continue
            if row.info.name:
                self._names[row.info.namespace, row.info.name] = actor_id
            if not row.spec.detached:
                self._by_owner.setdefault(row.spec.owner.worker_id, set()).add(actor_id)
            self._move(actor, row.node_id)
        self._touched.clear()

    def owners(self) -> list[Address]:
        """The processes whose end would end actors."""
        return [self._actors[next(iter(owned))].spec.owner for owned in self._by_owner.values()]

    def reconcile(self, node_id: bytes, hosted: Iterable[HostedActor], now_ms: int) -> list[Effect]:
        """A raylet that was out of reach lists the actors that it hosts; whatever else was there is gone."""
        effects: list[Effect] = []
        found = set()
        for each in hosted:
            actor = self._actors.get(each.actor_id)
            if actor is None or not self._is_current(actor, each.incarnation):
                effects.append(_destroy_again(each.actor_id, each.incarnation, node_id, actor))
                continue
            found.add(each.actor_id)
            self._move(actor, node_id)
            if actor.kill_cause:
                effects.append(Destroy(each.actor_id, each.incarnation, node_id, False, actor.kill_cause))
            if each.address is not None and actor.info.state != "ALIVE":
                effects += self.created(each.actor_id, each.incarnation, each.address, each.pid, each.repr_name)
        for actor_id in sorted(self._by_node.get(node_id, set()) - found):
            actor = self._actors[actor_id]
            if actor.info.state == "ALIVE":
                effects += self._fall(actor, "WORKER_DIED", "Its process ended while the GCS was away.", now_ms)
            else:  # the order to create it was lost
                self._move(actor, b"")
                effects.append(Place(actor_id))
        return effects

    def homeless(self) -> list[Effect]:
        """Orders to place what waits for a node; after a restart, once the nodes that live are known."""
        return [Place(actor_id) for actor_id in self._actors if self.wants_place(actor_id)]

    # ---------------------------------------------------------- registration and creation

    def register(self, spec: ActorSpec, handle_blob: bytes, ready: bool, now_ms: int) -> NameTaken | list[Effect]:
        """A new actor. Repeating it for the same id creates nothing twice."""
        if spec.actor_id in self._actors:
            return []
        if spec.name:
            holder = self.named(spec.name, spec.namespace)
            if holder is not None:
                return NameTaken(holder)
            self._names[spec.namespace, spec.name] = spec.actor_id
        info = ActorInfo(
            actor_id=spec.actor_id,
            job_id=spec.job_id,
            name=spec.name,
            namespace=spec.namespace,
            class_name=spec.class_name,
            state="DEPENDENCIES_UNREADY",
            incarnation=0,
            num_restarts=0,
            max_restarts=spec.max_restarts,
            detached=spec.detached,
            handle_blob=handle_blob,
            required=spec.held,
            start_time_ms=now_ms,
            runtime_env=spec.placement.runtime_env,
            label_selector=spec.placement.label_selector,
            placement_group_id=spec.placement.strategy.placement_group_id,
            is_told=spec.is_told,
        )
        self._actors[spec.actor_id] = Actor(spec, info)
        self._touched[spec.actor_id] = None
        if not spec.detached:
            self._by_owner.setdefault(spec.owner.worker_id, set()).add(spec.actor_id)
        return self.dependencies_ready(spec.actor_id) if ready else []

    def dependencies_ready(self, actor_id: bytes) -> list[Effect]:
        """What its constructor takes exists now."""
        actor = self._actors.get(actor_id)
        if actor is None or actor.info.state != "DEPENDENCIES_UNREADY":
            return []
        return [self._change(actor, state="PENDING_CREATION"), Place(actor_id)]

    def wants_place(self, actor_id: bytes) -> bool:
        """Whether a `Place` for it still stands."""
        actor = self._actors.get(actor_id)
        return actor is not None and not actor.node_id and actor.info.state in ("PENDING_CREATION", "RESTARTING")

    def placed(self, actor_id: bytes, node_id: bytes) -> None:
        """That node's raylet was asked to create it."""
        self._move(self._actors[actor_id], node_id)

    def created(self, actor_id: bytes, incarnation: int, address: Address, pid: int, repr_name: str) -> list[Effect]:
        actor = self._actors.get(actor_id)
        if actor is None or not self._is_current(actor, incarnation):
            cause = "It was created too late: the actor is dead by now."
            return [Destroy(actor_id, incarnation, address.node_id, False, cause)]
        changed = self._change(
            actor,
            state="ALIVE",
            address=address,
            node_id=address.node_id,
            pid=pid,
            repr_name=repr_name,
            last_host=address.host,
        )
        return [changed]

    def creation_failed(
        self,
        actor_id: bytes,
        incarnation: int,
        kind: str,
        message: str,
        detail: bytes,
        now_ms: int,
        node_id: bytes = b"",
    ) -> list[Effect]:
        """kind as in `CreateActor`: "spill" places it anew, "worker_died" costs a restart, the rest is final.

        `node_id`: whose raylet says so. It says so twice when its connection broke, and by then another may create it.
        """
        actor = self._actors.get(actor_id)
        if actor is None or not self._is_current(actor, incarnation) or (node_id and node_id != actor.node_id):
            return []
        if kind == "spill":
            self._move(actor, b"")
            return [Place(actor_id)]
        if kind == "worker_died":
            return self._fall(actor, "WORKER_DIED", message, now_ms)
        if kind == "user_exit":
            return self._die(actor, "INTENDED_USER_EXIT", message, now_ms)
        return self._die(actor, kind.upper(), message, now_ms, error=detail or None)

    # ---------------------------------------------------------- ends

    def died(self, actor_id: bytes, incarnation: int, kind: str, cause: str, now_ms: int) -> list[Effect]:
        """Its worker process has ended. Deaths by intent are final, others cost a restart."""
        actor = self._actors.get(actor_id)
        if actor is None or not self._is_current(actor, incarnation):
            return []
        if kind in ("INTENDED_USER_EXIT", "OUT_OF_SCOPE"):
            return self._die(actor, kind, cause, now_ms)
        return self._fall(actor, kind, cause, now_ms)

    def kill(self, actor_id: bytes, no_restart: bool, kind: str, cause: str, now_ms: int) -> list[Effect]:
        """`ray.kill`. With restarts allowed the worker's death, once reported, decides."""
        actor = self._actors.get(actor_id)
        if actor is None or actor.info.state == "DEAD":
            return []
        if no_restart:
            return self._end(actor, kind, cause, now_ms, graceful=False)
        if actor.info.state != "ALIVE":
            return []  # it is between two lives already
        actor.kill_cause = cause
        self._touched[actor_id] = None
        return [Destroy(actor_id, actor.info.incarnation, actor.node_id, False, cause)]

    def out_of_scope(self, actor_id: bytes, now_ms: int) -> list[Effect]:
        """Nobody holds a handle on it, and all calls are answered."""
        actor = self._actors.get(actor_id)
        if actor is None or actor.info.state == "DEAD":
            return []
        return self._end(actor, "OUT_OF_SCOPE", "All references to the actor were removed.", now_ms, graceful=True)

    def owner_died(self, worker_id: bytes, now_ms: int) -> list[Effect]:
        """The process that created them has ended; its actors go with it, but for detached ones."""
        effects: list[Effect] = []
        for actor_id in sorted(self._by_owner.get(worker_id, ())):
            cause = "Its owner has died: the process that created it has ended."
            effects += self._end(self._actors[actor_id], "OWNER_DIED", cause, now_ms, graceful=False)
        return effects

    def node_died(self, node_id: bytes, reason: str, now_ms: int, preempted: bool = False) -> list[Effect]:
        """`preempted`: it was drained for that, so an actor that may restart at all does, for nothing."""
        effects: list[Effect] = []
        for actor_id in sorted(self._by_node.get(node_id, ())):
            cause = f"Its node has died. {reason}"
            effects += self._fall(self._actors[actor_id], "NODE_DIED", cause, now_ms, preempted)
        return effects

    # ---------------------------------------------------------- inside

    def _is_current(self, actor: Actor, incarnation: int) -> bool:
        return actor.info.state != "DEAD" and actor.info.incarnation == incarnation

    def _fall(self, actor: Actor, kind: str, cause: str, now_ms: int, preempted: bool = False) -> list[Effect]:
        """Restart it if its budget allows, else it is dead."""
        self._change(actor, preempted=preempted)
        actor.kill_cause = ""
        info = actor.info
        is_free = preempted and info.max_restarts != 0
        if not is_free and info.max_restarts != -1 and info.num_restarts - info.free_restarts >= info.max_restarts:
            return self._die(actor, kind, cause, now_ms)
        self._move(actor, b"")
        changed = self._change(
            actor,
            state="RESTARTING",
            incarnation=info.incarnation + 1,
            num_restarts=info.num_restarts + 1,
            free_restarts=info.free_restarts + is_free,
            address=None,
            node_id=b"",
            death_kind=kind,
            death_cause=cause,
        )
        return [changed, Place(info.actor_id)]

    def _end(self, actor: Actor, kind: str, cause: str, now_ms: int, *, graceful: bool) -> list[Effect]:
        """Declare it dead and end whatever runs of it."""
        node_id = actor.node_id
        effects = self._die(actor, kind, cause, now_ms)
        if node_id:
            effects.append(Destroy(actor.spec.actor_id, actor.info.incarnation, node_id, graceful, cause))
        return effects

    def _die(self, actor: Actor, kind: str, cause: str, now_ms: int, error: bytes | None = None) -> list[Effect]:
        info = actor.info
        self._move(actor, b"")
        if self._names.get((info.namespace, info.name)) == info.actor_id:
            del self._names[info.namespace, info.name]
        owned = self._by_owner.get(actor.spec.owner.worker_id)
        if owned is not None:
            owned.discard(info.actor_id)
            if not owned:
                del self._by_owner[actor.spec.owner.worker_id]
        self._dead.append(info.actor_id)
        if len(self._dead) > DEAD_KEPT:
            forgotten = self._dead.popleft()
            del self._actors[forgotten]
            self._touched[forgotten] = None
        changed = self._change(
            actor, state="DEAD", address=None, death_kind=kind, death_cause=cause, error=error, end_time_ms=now_ms
        )
        return [changed]

    def _move(self, actor: Actor, node_id: bytes) -> None:
        actor_id = actor.spec.actor_id
        if actor.node_id:
            here = self._by_node[actor.node_id]
            here.discard(actor_id)
            if not here:
                del self._by_node[actor.node_id]
        actor.node_id = node_id
        self._touched[actor_id] = None
        if node_id:
            self._by_node.setdefault(node_id, set()).add(actor_id)

    def _change(self, actor: Actor, **fields: object) -> Publish:
        actor.info = msgspec.structs.replace(actor.info, **fields)
        self._touched[actor.spec.actor_id] = None
        return Publish(actor.info)

    def validate(self) -> None:
        """The invariants; tests call it after each event."""
        for (namespace, name), actor_id in self._names.items():
            info = self._actors[actor_id].info
            assert (info.namespace, info.name) == (namespace, name) and info.state != "DEAD", info
        for actor_id, actor in self._actors.items():
            info = actor.info
            assert (info.address is not None) == (info.state == "ALIVE"), info
            assert info.state != "ALIVE" or actor.node_id, info
            assert info.max_restarts == -1 or info.num_restarts - info.free_restarts <= info.max_restarts, info
            assert info.max_restarts or not info.num_restarts, info
            assert info.incarnation == info.num_restarts, info
            assert (actor_id in self._by_node.get(actor.node_id, ())) == bool(actor.node_id), info
            is_owned = actor_id in self._by_owner.get(actor.spec.owner.worker_id, ())
            assert is_owned == (info.state != "DEAD" and not info.detached), info
