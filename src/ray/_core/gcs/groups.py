"""The life of every placement group: packed, reserved, committed, rescheduled, removed. All bundles, or none.

Floor: gcs, pure. The service hands in what happened and carries out the effects. States, and what moves them:

    PENDING --all nodes reserved--> PREPARED --all committed--> CREATED
    CREATED --a node with bundles died--> RESCHEDULING --reserved and committed--> CREATED
    any --remove, end of its job or creator--> REMOVED

An attempt places all bundles that have no node. It takes two phases: every node reserves (or the attempt is given
back and the group waits for another view of the cluster), then every node commits. With one node in it the first phase
is the second too. Answers carry their attempt's number; those of older attempts change nothing.
Source: Ray docs, "Placement groups".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import msgspec

from ray._core.common.messages import BundleSpec, NodeView, PlacementGroupInfo
from ray._core.common.resources import subtract
from ray._core.gcs.packing import is_feasible, pack_among_many

REMOVED_KEPT = 10_000
"""Removed groups stay listed up to this many; older ones are forgotten."""


@dataclasses.dataclass(frozen=True, slots=True)
class Publish:
    info: PlacementGroupInfo


@dataclasses.dataclass(frozen=True, slots=True)
class Prepare:
    """Have the node reserve the bundles (and `commit` them at once); report `prepared`."""

    group_id: bytes
    attempt: int
    node_id: bytes
    bundles: list[BundleSpec]
    commit: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Commit:
    """Have the node make its reserved bundles usable; report `committed`."""

    group_id: bytes
    attempt: int
    node_id: bytes
    indexes: list[int]


@dataclasses.dataclass(frozen=True, slots=True)
class Return:
    """Have the node give the bundles back and end what runs in them. `removed`: what waits for them fails, too."""

    group_id: bytes
    node_id: bytes
    indexes: list[int]
    removed: bool


Effect = Publish | Prepare | Commit | Return


@dataclasses.dataclass(slots=True)
class _Attempt:
    """One try at placing what has no node. `waiting`: nodes whose answer is due; `failed`: some refused or died."""

    number: int
    places: dict[int, bytes]
    waiting: set[bytes]
    reserved: set[bytes] = dataclasses.field(default_factory=set)
    failed: bool = False
    committing: bool = False

    def on(self, node_id: bytes) -> list[int]:
        return sorted(index for index, place in self.places.items() if place == node_id)


@dataclasses.dataclass(slots=True)
class _Group:
    info: PlacementGroupInfo
    attempt: _Attempt | None = None


class GroupTable:
    def __init__(self) -> None:
        self._groups: dict[bytes, _Group] = {}
        self._names: dict[tuple[str, str], bytes] = {}
        self._unplaced: dict[bytes, None] = {}
        """Groups that want an attempt, oldest first."""
        self._turn = 0
        """Number of attempts to find places."""
        self._by_node: dict[bytes, set[bytes]] = {}
        self._of_job: dict[bytes, set[bytes]] = {}
        self._of_actor: dict[bytes, set[bytes]] = {}
        self._dead_jobs: set[bytes] = set()
        """Of groups whose creator, an actor, has outlived its job."""
        self._dead_actors: set[bytes] = set()
        """Creators of groups whose job goes on."""
        self._removed: dict[bytes, None] = {}
        self._touched: dict[bytes, None] = {}

    def __repr__(self) -> str:
        return f"<GroupTable groups={len(self._groups)} unplaced={len(self._unplaced)} removed={len(self._removed)}>"

    # ---------------------------------------------------------- looking

    def get(self, group_id: bytes) -> PlacementGroupInfo | None:
        group = self._groups.get(group_id)
        return None if group is None else group.info

    def named(self, name: str, namespace: str) -> PlacementGroupInfo | None:
        """The group of that name that has not been removed."""
        group_id = self._names.get((namespace, name))
        return None if group_id is None else self._groups[group_id].info

    def infos(self) -> list[PlacementGroupInfo]:
        return [group.info for group in self._groups.values()]

    def pending(self) -> list[PlacementGroupInfo]:
        return [self._groups[group_id].info for group_id in self._unplaced]

    # ---------------------------------------------------------- requests

    def create(self, info: PlacementGroupInfo, now_ms: int) -> bool:
        """A new group, PENDING; `schedule` places it. False: its name is taken. Repeating it creates nothing twice."""
        if info.group_id in self._groups:
            return True
        if info.name:
            if (info.namespace, info.name) in self._names:
                return False
            self._names[info.namespace, info.name] = info.group_id
        nodes = [b""] * len(info.bundles)
        info = msgspec.structs.replace(info, state="PENDING", nodes=nodes, created_at_ms=now_ms)
        self._groups[info.group_id] = _Group(info)
        self._touched[info.group_id] = None
        self._unplaced[info.group_id] = None
        self._index_creator(info)
        return True

    def remove(self, group_id: bytes) -> list[Effect]:
        """An unknown or removed group changes nothing."""
        group = self._groups.get(group_id)
        if group is None or group.info.state == "REMOVED":
            return []
        info, attempt = group.info, group.attempt
        held: dict[bytes, list[int]] = {}
        for index, node_id in enumerate(info.nodes):
            if node_id:
                held.setdefault(node_id, []).append(index)
        if attempt is not None:  # also where the answer is due: the request to give back comes behind the other
            for node_id in attempt.reserved | attempt.waiting:
                held.setdefault(node_id, []).extend(attempt.on(node_id))
        group.attempt = None
        self._unplaced.pop(group_id, None)
        if self._names.get((info.namespace, info.name)) == group_id:
            del self._names[info.namespace, info.name]
        self._forget_nodes(group)
        self._discard(self._of_job, info.job_id, group_id)
        self._discard(self._of_actor, info.creator_actor, group_id)
        self._change(group, state="REMOVED")
        self._removed[group_id] = None
        if len(self._removed) > REMOVED_KEPT:
            oldest = next(iter(self._removed))
            del self._removed[oldest], self._groups[oldest]
            self._touched[oldest] = None
        returns = [Return(group_id, node_id, sorted(indexes), True) for node_id, indexes in sorted(held.items())]
        return [*returns, Publish(group.info)]

    def job_finished(self, job_id: bytes) -> list[Effect]:
        """The groups of a job end with it, but for detached ones, and those whose creator is an actor that lives on."""
        effects: list[Effect] = []
        for group_id in sorted(self._of_job.get(job_id, ())):
            creator = self._groups[group_id].info.creator_actor
            if creator and creator not in self._dead_actors:
                self._dead_jobs.add(job_id)
            else:
                effects += self.remove(group_id)
        return effects

    def actor_died(self, actor_id: bytes) -> list[Effect]:
        """The groups that an actor created end once its job has ended too, as Ray's do."""
        effects: list[Effect] = []
        for group_id in sorted(self._of_actor.get(actor_id, ())):
            if self._groups[group_id].info.job_id in self._dead_jobs:
                effects += self.remove(group_id)
            else:
                self._dead_actors.add(actor_id)
        return effects

    # ---------------------------------------------------------- placing

    def schedule(self, nodes: Sequence[NodeView], only: bytes = b"") -> list[Effect]:
        """Begin an attempt for every group (or `only` that one) that has a place now."""
        effects: list[Effect] = []
        rows: dict[bytes, NodeView] = {} if only else {node.node_id: node for node in nodes}
        copied = set[bytes]()
        for group_id in [only] if only in self._unplaced else [] if only else list(self._unplaced):
            group = self._groups[group_id]
            info = group.info
            placed = {index: node_id for index, node_id in enumerate(info.nodes) if node_id}
            missing = [bundle for bundle in info.bundles if bundle.index not in placed]
            nodes = nodes if only else list(rows.values())
            self._turn += 1
            target, label = info.soft_target_node_id, info.topology_label
            places = pack_among_many(missing, info.strategy, nodes, placed, target, label, self._turn)
            if places is None:
                infeasible = not is_feasible(missing, info.strategy, nodes, placed, label)
                if infeasible != info.infeasible:
                    self._change(group, infeasible=infeasible)
                continue
            if label:
                self._change(group, topology_value=rows[places[missing[0].index]].labels[label])
            for bundle in [] if only else missing:  # for the groups that come after this one
                node_id = places[bundle.index]
                if node_id not in copied:
                    copied.add(node_id)
                    available = dict(rows[node_id].available)
                    rows[node_id] = msgspec.structs.replace(rows[node_id], available=available)
                subtract(rows[node_id].available, bundle.resources)
            effects += self._begin(group, missing, places)
        return effects

    def _begin(self, group: _Group, missing: list[BundleSpec], places: dict[int, bytes]) -> list[Effect]:
        group_id, involved = group.info.group_id, sorted(set(places.values()))
        del self._unplaced[group_id]
        self._change(group, attempts=group.info.attempts + 1, infeasible=False)
        number = group.info.attempts
        group.attempt = _Attempt(number, places, set(involved), committing=len(involved) == 1)
        by_index = {bundle.index: bundle for bundle in missing}
        return [
            Prepare(
                group_id,
                number,
                node_id,
                [by_index[index] for index in group.attempt.on(node_id)],
                group.attempt.committing,
            )
            for node_id in involved
        ]

    def prepared(self, group_id: bytes, attempt: int, node_id: bytes, ok: bool, now_ms: int) -> list[Effect]:
        """A node has reserved its bundles, or could not (busy, or dead)."""
        group = self._current(group_id, attempt)
        if group is None or group.attempt is None or node_id not in group.attempt.waiting:
            return []
        current = group.attempt
        current.waiting.discard(node_id)
        if ok:
            current.reserved.add(node_id)
        else:
            current.failed = True
        if current.waiting:
            return []
        if current.failed:
            return self._give_up(group, current)
        if current.committing:
            return self._created(group, current, now_ms)
        current.committing, current.waiting = True, set(current.reserved)
        if group.info.state == "PENDING":
            self._change(group, state="PREPARED")
        commits = [Commit(group_id, attempt, each, current.on(each)) for each in sorted(current.waiting)]
        return [Publish(group.info), *commits]

    def committed(self, group_id: bytes, attempt: int, node_id: bytes, ok: bool, now_ms: int) -> list[Effect]:
        """A node's bundles are usable; not `ok`: it died before it said so."""
        return self.prepared(group_id, attempt, node_id, ok, now_ms)

    def _give_up(self, group: _Group, attempt: _Attempt) -> list[Effect]:
        group_id = group.info.group_id
        group.attempt = None
        self._unplaced[group_id] = None
        effects: list[Effect] = [
            Return(group_id, node_id, attempt.on(node_id), False) for node_id in sorted(attempt.reserved)
        ]
        if group.info.state == "PREPARED":
            self._change(group, state="PENDING")
            effects.append(Publish(group.info))
        return effects

    def _created(self, group: _Group, attempt: _Attempt, now_ms: int) -> list[Effect]:
        nodes = list(group.info.nodes)
        for index, node_id in attempt.places.items():
            nodes[index] = node_id
            self._by_node.setdefault(node_id, set()).add(group.info.group_id)
        group.attempt = None
        self._change(group, state="CREATED", nodes=nodes, ready_at_ms=now_ms)
        if not all(nodes):  # while this was placed, a node with other bundles died
            return self._reschedule(group)
        return [Publish(group.info)]

    # ---------------------------------------------------------- losses

    def node_died(self, node_id: bytes, now_ms: int) -> list[Effect]:
        """Bundles on that node have no place any more; attempts that involve it fail."""
        effects: list[Effect] = []
        for group_id in sorted(self._by_node.pop(node_id, ())):
            group = self._groups[group_id]
            nodes = [b"" if each == node_id else each for each in group.info.nodes]
            self._change(group, nodes=nodes)
            if group.attempt is None:
                effects += self._reschedule(group)
        return effects + self.node_is_away(node_id, now_ms)

    def node_is_away(self, node_id: bytes, now_ms: int) -> list[Effect]:
        """Attempts that involve the node fail, since what was asked there may be lost; back, it lists what it holds."""
        effects: list[Effect] = []
        for group in self._groups.values():
            attempt = group.attempt
            if attempt is None or node_id not in attempt.waiting | attempt.reserved:
                continue
            attempt.failed = True
            attempt.reserved.discard(node_id)
            if node_id in attempt.waiting:
                effects += self.prepared(group.info.group_id, attempt.number, node_id, False, now_ms)
        return effects

    def _reschedule(self, group: _Group) -> list[Effect]:
        self._unplaced[group.info.group_id] = None
        self._change(group, state="RESCHEDULING")
        return [Publish(group.info)]

    # ---------------------------------------------------------- after a restart of the GCS

    def take_rows(self) -> list[tuple[bytes, bytes | None]]:
        """Rows for the storage that changed since the last call, by group id; None: forgotten."""
        touched, self._touched = self._touched, {}
        return [
            (group_id, msgspec.msgpack.encode(self._groups[group_id].info) if group_id in self._groups else None)
            for group_id in touched
        ]

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Fill the empty table with what an earlier GCS wrote. Attempts under way then begin anew."""
        for group_id, row in rows.items():
            info = msgspec.msgpack.decode(row, type=PlacementGroupInfo)
            if info.state == "PREPARED":
                info = msgspec.structs.replace(info, state="PENDING")
            self._groups[group_id] = _Group(info)
            if info.state == "REMOVED":
                self._removed[group_id] = None
                continue
            if info.state != "CREATED":
                self._unplaced[group_id] = None
            if info.name:
                self._names[info.namespace, info.name] = group_id
            for node_id in set(info.nodes) - {b""}:
                self._by_node.setdefault(node_id, set()).add(group_id)
            self._index_creator(info)

    def reconcile(self, node_id: bytes, bundles: Sequence[tuple[bytes, int]]) -> list[Effect]:
        """A raylet that was out of reach lists its bundles: the unknown go back, the missing are placed anew.

        One that has all that a group without a place lacks keeps it: a task may run there by now, since the raylet knew
        of the bundles before the GCS that was killed could write it down.
        """
        effects: list[Effect] = []
        there = set(bundles)
        adopted = [group_id for group_id in self._unplaced if self._is_all_there(group_id, there)]
        for group_id in adopted:
            effects.append(self._adopt(self._groups[group_id], node_id))
        for group_id, index in sorted(there):
            group = self._groups.get(group_id)
            if group_id in adopted and group is not None and not group.info.nodes[index]:
                continue
            if group is None or group.info.state == "REMOVED" or group.info.nodes[index] != node_id:
                removed = group is None or group.info.state == "REMOVED"
                effects.append(Return(group_id, node_id, [index], removed))
        for group_id in sorted(self._by_node.get(node_id, ())):
            group = self._groups[group_id]
            nodes = [
                b"" if each == node_id and (group_id, index) not in there else each
                for index, each in enumerate(group.info.nodes)
            ]
            if nodes != group.info.nodes:
                self._change(group, nodes=nodes)
                if node_id not in nodes:
                    self._discard(self._by_node, node_id, group_id)
                if group.attempt is None:
                    effects += self._reschedule(group)
        return effects

    def _is_all_there(self, group_id: bytes, there: set[tuple[bytes, int]]) -> bool:
        return all(at or (group_id, index) in there for index, at in enumerate(self._groups[group_id].info.nodes))

    def _adopt(self, group: _Group, node_id: bytes) -> Effect:
        """Begin an attempt that has only to be committed: the node holds whatever is missing."""
        info = group.info
        missing = [index for index, at in enumerate(info.nodes) if not at]
        del self._unplaced[info.group_id]
        self._change(group, attempts=info.attempts + 1, infeasible=False)
        number = group.info.attempts
        group.attempt = _Attempt(number, dict.fromkeys(missing, node_id), {node_id}, committing=True)
        return Commit(info.group_id, number, node_id, missing)

    # ---------------------------------------------------------- inside

    def _current(self, group_id: bytes, attempt: int) -> _Group | None:
        group = self._groups.get(group_id)
        if group is None or group.attempt is None or group.attempt.number != attempt:
            return None
        return group

    def _change(self, group: _Group, **fields: object) -> None:
        group.info = msgspec.structs.replace(group.info, **fields)
        self._touched[group.info.group_id] = None

    def _index_creator(self, info: PlacementGroupInfo) -> None:
        if not info.detached:
            self._of_job.setdefault(info.job_id, set()).add(info.group_id)
            if info.creator_actor:
                self._of_actor.setdefault(info.creator_actor, set()).add(info.group_id)

    def _forget_nodes(self, group: _Group) -> None:
        for node_id in set(group.info.nodes):
            self._discard(self._by_node, node_id, group.info.group_id)

    def _discard(self, index: dict[bytes, set[bytes]], key: bytes, group_id: bytes) -> None:
        groups = index.get(key)
        if groups is not None:
            groups.discard(group_id)
            if not groups:
                del index[key]
                self._dead_jobs.discard(key)
                self._dead_actors.discard(key)

    def validate(self) -> None:
        """The invariants; tests call it after each event."""
        for group_id, group in self._groups.items():
            info, whole = group.info, all(group.info.nodes)
            assert (group_id in self._unplaced) == (info.state in ("PENDING", "RESCHEDULING") and not group.attempt), (
                group
            )
            assert not (info.state == "CREATED" and not whole), group
            assert not (info.state == "PREPARED" and (group.attempt is None or not group.attempt.committing)), group
            assert info.state != "REMOVED" or group.attempt is None, group
            for node_id in set(info.nodes) - {b""}:
                assert info.state == "REMOVED" or group_id in self._by_node[node_id], group
            is_named = self._names.get((info.namespace, info.name)) == group_id
            assert is_named == bool(info.name and info.state != "REMOVED"), group
