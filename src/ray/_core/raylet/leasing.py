"""Lease requests of this node: granted here, sent on to a better node, or kept until a node can hold them.

Floor: raylet, shell around `scheduler`, `cluster_view` and `common.policy`. Owners send requests, workers' ends and
views of other nodes come in; grants, spills and revocations go out.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from ray._core.common import messages as m
from ray._core.common.accelerators import device_names
from ray._core.common.groups import group_demand, users_names
from ray._core.common.labels import matches
from ray._core.common.policy import CRITICAL, Choice, Knobs, Outcome, pick_node, pick_of_many, used_share
from ray._core.common.resources import UNIT, Resources, fits, subtract
from ray._core.raylet.actor_host import Hosted
from ray._core.raylet.cluster_view import ClusterView
from ray._core.raylet.lines import Waiting
from ray._core.raylet.resource_reporter import ResourceReporter
from ray._core.raylet.scheduler import Scheduler
from ray._core.raylet.set_aside import SetAside
from ray._core.raylet.workers import Worker, WorkerPool
from ray._core.wire import aio

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet

JOINING_S = 1.0
"""Affinity to a node that nobody here has heard of is refused only after this."""
FORKS_AT_ONCE = 4
"""Workers that start at the same time, at least; more would only share the same cores."""
DEBIT_S = 1.0
"""What was sent to a node counts as taken there, unless the node says so itself, no longer than this: whoever was sent
there may not have wanted it any more, or have ended on the way."""
MAX_HOPS = 8
"""A request that was sent on so often waits where it is: views contradict each other."""
CONTRADICTION_S = 0.1
"""If it cannot wait there, it is looked at again after this."""


class LeaseManager:
    def __init__(self, raylet: Raylet, total: Resources) -> None:
        self._raylet = raylet
        self.scheduler = Scheduler(total, device_names(total, UNIT, os.environ))
        self.view = ClusterView()
        self.reporter = ResourceReporter(raylet, self)
        self.aside = SetAside(raylet, self)
        self._knobs = Knobs.of(raylet.config)
        self._rng = raylet.machine.rng
        self._spread_after = b""
        self._joining: dict[object, float] = {}
        self._preparing: dict[object, Waiting] = {}
        """Whose environment is being built."""
        self._surplus_timer: asyncio.TimerHandle | None = None
        self._patience_s = raylet.config.idle_worker_killing_time_threshold_ms / 1000
        self._of_connection: dict[aio.Connection, set[int]] = {}
        self._lease_ids = itertools.count(self._rng.getrandbits(40) << 20)  # unlike other raylets' ids
        self.handlers: dict[type, Any] = {
            m.RequestLease: self._request,
            m.CancelLease: self._cancel,
            m.ReturnLease: self._return,
            m.SetBlocked: self._set_blocked,
            m.ResourceViews: self._views_changed,
            m.GroupChanged: self.aside.group_changed,
        }

    @property
    def pool(self) -> WorkerPool:
        return self._raylet.pool

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    # ---------------------------------------------------------- where to

    def _request(self, connection: aio.Connection, request: m.RequestLease) -> None:
        scheduling, key = request.scheduling, (connection, request.rid)
        waiting = waiting_of(key, scheduling, scheduling.resources, request, self._now_s())
        self._of_connection.setdefault(connection, set()).add(request.rid)
        if request.hops:
            self.reporter.owe()
        self._place(waiting)
        self.reporter.report()

    def _place(self, waiting: Waiting) -> None:
        """Queue the request here, send it on, or keep it aside."""
        choice = self._choose(waiting)
        own = self._raylet.node_id
        match choice.outcome:
            case Outcome.PLACED | Outcome.BUSY if choice.node_id == own:
                self._enqueue(waiting)
            case Outcome.PLACED | Outcome.BUSY if waiting.request.hops < MAX_HOPS and choice.node_id is not None:
                self._spill(waiting, choice.node_id)
            case Outcome.PLACED | Outcome.BUSY if self._can_wait_here(waiting):
                self._enqueue(waiting)
            case Outcome.PLACED | Outcome.BUSY:
                self.aside.add(waiting)
                asyncio.get_running_loop().call_later(CONTRADICTION_S, self.reconsider)
            case Outcome.UNSCHEDULABLE if self._may_be_joining(waiting):
                self.aside.add(waiting)
            case Outcome.UNSCHEDULABLE:
                self._answer(waiting, m.Failed(kind="unschedulable", message=choice.why))
            case _:
                self.aside.add(waiting)

    def _can_wait_here(self, waiting: Waiting) -> bool:
        """Whether this node will do in the end, although another one seems better."""
        scheduling, strategy = waiting.request.scheduling, waiting.request.scheduling.strategy
        is_elsewhere = strategy.kind == "NODE_AFFINITY" and not strategy.soft
        if is_elsewhere or self._raylet.draining or self.scheduler.missing(waiting.demand):
            return False
        labels = self._raylet.node.labels
        return matches(strategy.labels_hard, labels) and _matches_any(scheduling, labels)

    def _may_be_joining(self, waiting: Waiting) -> bool:
        """Its node is not known here: word of a new one may still be on its way, so it is given a moment."""
        node_id = waiting.request.scheduling.strategy.node_id
        if node_id in self.view.rows or node_id in self.view.dead or node_id == self._raylet.node_id:
            return False
        loop = asyncio.get_running_loop()
        deadline_at_s = self._joining.get(waiting.key)
        if deadline_at_s is None:
            deadline_at_s = self._joining[waiting.key] = loop.time() + JOINING_S
            loop.call_at(deadline_at_s + 0.001, self.reconsider)
        return loop.time() < deadline_at_s

    def _enqueue(self, waiting: Waiting) -> None:
        """Have its environment built, then let it wait for resources and a worker."""
        self._preparing[waiting.key] = waiting
        environments = self._raylet.environments
        environments.prepare(waiting.runtime_env, waiting.job_id, partial(self._prepared, waiting))

    def _prepared(self, waiting: Waiting, error: str) -> None:
        if self._preparing.pop(waiting.key, None) is None:  # cancelled meanwhile, or its owner has gone
            if not error:
                self._raylet.environments.drop(waiting.runtime_env)
        elif error:
            self._answer(waiting, m.Failed(kind="runtime_env", message=error))
        elif self.scheduler.missing(waiting.demand):  # the bundle that it was to go into has gone meanwhile
            self._raylet.environments.drop(waiting.runtime_env)
            self._place(waiting)
        else:
            self.scheduler.enqueue(waiting)
            self.schedule()

    def enqueue_actor(self, hosted: Hosted) -> None:
        """An actor that the GCS has placed here, and whose environment is there, waits for what it holds."""
        self.reporter.owe()
        waiting = waiting_of(hosted, hosted.spec.placement, hosted.spec.held, since_s=self._now_s())
        self.scheduler.enqueue(waiting)
        if hosted.spec.placement.strategy.kind == "PLACEMENT_GROUP" and self.scheduler.missing(waiting.demand):
            self._raylet.actors.lost_bundle(hosted, removed=False)  # since the GCS placed it
        self.schedule()

    def give_back(self, worker: Worker) -> None:
        """It is no place for the actor that it was leased for: others need what it owns."""
        self.scheduler.release(worker.lease_id)
        self.pool.end_lease(worker)
        self.pool.needed(worker, self._now_s())

    def forget(self, key: object) -> Waiting | None:
        """A request is void: return it, if it was here, and let go of what it held."""
        waiting = self.scheduler.cancel(key)
        if waiting is not None:
            self._raylet.environments.drop(waiting.runtime_env)
            return waiting
        return self._preparing.pop(key, None) or self.aside.requests.pop(key, None)

    def env_failed(self, runtime_env: str, error: str) -> None:
        """No worker starts in this environment: whoever waits for one is told."""
        for waiting in self.scheduler.waiting():
            if waiting.runtime_env == runtime_env:
                self.forget(waiting.key)
                if isinstance(waiting.key, Hosted):
                    self._raylet.actors.env_failed(waiting.key, error)
                else:
                    self._answer(waiting, m.Failed(kind="runtime_env", message=error))

    def _choose(self, waiting: Waiting) -> Choice:
        request: m.RequestLease = waiting.request
        scheduling = request.scheduling
        strategy, labels = scheduling.strategy, scheduling.label_selector
        if strategy.kind == "DEFAULT" and not labels and self._stays(waiting):
            return Choice(Outcome.PLACED, self._raylet.node_id)
        own = self._own_row()
        has_come = request.hops and not own.draining
        if has_come and fits(waiting.demand, own.available) and _matches_any(scheduling, own.labels):
            return Choice(Outcome.PLACED, own.node_id)  # the raylet before this one has chosen well
        if request.hops and strategy.kind == "SPREAD":
            strategy = m.Strategy()
        choice = pick_of_many(
            scheduling.resources,
            self.view.rows,
            strategy,
            labels,
            scheduling.fallback_selectors,
            rng=self._rng,
            local=own.node_id,
            own=own,
            prefer=request.prefer_nodes,
            spread_after=self._spread_after,
            knobs=self._knobs,
        )
        if strategy.kind == "SPREAD" and choice.node_id is not None:
            self._spread_after = choice.node_id
        return choice

    def requests(self) -> list[Waiting]:
        """All that wait here: for an environment, for resources, for a node that could hold them."""
        return [*self._preparing.values(), *self.scheduler.waiting(), *self.aside.requests.values()]

    def is_preparing(self, key: object) -> bool:
        """Whether its runtime environment is being built."""
        return key in self._preparing

    def why_not(self, waiting: Waiting) -> str:
        """Why no node of today can hold it."""
        return self._choose(waiting).why

    def _stays(self, waiting: Waiting) -> bool:
        """The common cases, whose cost must grow neither with the number of nodes nor with that of bundles here:
        there is no other node, or this one has room and is not half used. False: look closer."""
        total, demand = self.scheduler.total, waiting.demand
        if self._raylet.draining or not fits(demand, total):
            return False
        if len(self.view.rows) < 2:
            return True
        if waiting.request.prefer_nodes or (total.get("GPU") and not demand.get("GPU")):
            return False
        free = self.scheduler.unclaimed_of({*demand, *CRITICAL})
        return fits(demand, free) and used_share(total, free) < self._knobs.spread_threshold

    def _own_row(self) -> m.NodeView:
        """This node as the policy sees it: what is claimed by those who wait counts as taken."""
        node = self._raylet.node
        return m.NodeView(
            node.node_id,
            node.host,
            node.raylet_port,
            node.raylet_path,
            self.scheduler.total,
            self.scheduler.unclaimed(),
            node.labels,
            self.reporter.version,
            draining=self._raylet.draining,
        )

    def _spill(self, waiting: Waiting, node_id: bytes) -> None:
        row = self.view.rows[node_id]
        version = self.view.debit(node_id, waiting.demand)
        if version is not None:
            asyncio.get_running_loop().call_later(DEBIT_S, self._undebit, node_id, version)
        self._answer(
            waiting, m.LeaseSpilled(node_id=node_id, host=row.host, port=row.raylet_port, path=row.raylet_path)
        )

    def _undebit(self, node_id: bytes, version: int) -> None:
        if self.view.undebit(node_id, version):
            self.reconsider()

    def _answer(self, waiting: Waiting, reply: m.Reply) -> None:
        assert isinstance(waiting.key, tuple)
        connection, reply.rid = waiting.key
        self._joining.pop(waiting.key, None)
        open_rids = self._of_connection.get(connection)
        if open_rids is not None:
            open_rids.discard(reply.rid)
        connection.send(reply)

    # ---------------------------------------------------------- the cluster changes

    def group_removed(self, group_id: bytes) -> None:
        """What waits for the group, here or set aside, will never run."""
        for waiting in [*self.scheduler.waiting_in(group_id), *self.aside.waiting_for(group_id)]:
            if waiting.request is not None and waiting.group_id == group_id:
                self.forget(waiting.key)
                self._answer(waiting, m.Failed(kind="group_removed", message="Its placement group was removed."))

    def bundles_changed(self, is_more: bool) -> None:
        """`is_more`: some became usable; else the node's own resources are what changed, or were asked for in vain."""
        self.reporter.owe()
        if is_more and self.aside.requests:
            self.reconsider()
        else:
            self.schedule()

    def _views_changed(self, _: aio.Connection, message: m.ResourceViews) -> None:
        news = self.view.update(message.views)
        if news:
            self._raylet.objects.peers.nodes_changed()
        if news - {self._raylet.node_id}:  # what this node has is told here first
            self.reconsider()

    def reconsider(self) -> None:
        """The cluster has changed: what waits here may do better elsewhere now, or become possible at all.

        Of requests that are alike only the first is asked about, until one of them goes elsewhere.
        """
        stuck: set[bytes] = set()
        for waiting in self.aside.take_all():
            alike = _alike(waiting.request.scheduling)
            if alike in stuck:
                self.aside.requests[waiting.key] = waiting
                continue
            self._place(waiting)
            if waiting.key in self.aside.requests:
                stuck.add(alike)
        if len(self.view.rows) > 1:
            self._look_elsewhere()
        else:
            for waiting in self.scheduler.infeasible():
                if waiting.request is not None and self.forget(waiting.key) is not None:
                    self._place(waiting)
        self.schedule()

    def _look_elsewhere(self) -> None:
        """Of what waits here and has no room now, send on what another node can take."""
        left, stuck = dict(self.scheduler.available), set[bytes]()
        for waiting in self.scheduler.waiting():
            if not self.scheduler.waits(waiting.key):
                continue  # granted, as the one before it was placed anew: once more would be a lease that nobody knows
            if fits(waiting.demand, left):
                subtract(left, waiting.demand)
                continue
            hosted = waiting.key if isinstance(waiting.key, Hosted) else None
            scheduling = waiting.request.scheduling if hosted is None else hosted.spec.placement
            alike = _alike(scheduling)
            if alike in stuck:
                continue
            if hosted is None:
                self.forget(waiting.key)
                self._place(waiting)
                if self.scheduler.waits(waiting.key):
                    stuck.add(alike)
            elif self._has_room_elsewhere(scheduling):
                self._raylet.actors.give_up(hosted)
            else:
                stuck.add(alike)

    def _has_room_elsewhere(self, placement: m.SchedulingClass) -> bool:
        """Whether an actor that waits here could be created at once on another node that suits it as well."""
        strategy = placement.strategy
        if strategy.kind == "NODE_AFFINITY" and not strategy.spill_on_unavailable:
            return False
        others = self.view.others(self._raylet.node_id)
        choice = pick_node(
            placement.resources, others, strategy, placement.label_selector, placement.fallback_selectors, rng=self._rng
        )
        return choice.outcome is Outcome.PLACED

    def demands(self) -> list[m.Demand]:
        """What waits, by job and shape; no more than the first 100."""
        counts: dict[tuple[bytes, bool, tuple[tuple[str, int], ...]], int] = {}
        aside = ((waiting.job_id, waiting.demand, 1) for waiting in self.aside.requests.values())
        for is_infeasible, demands in ((True, aside), (False, self.scheduler.demands())):
            for job_id, demand, count in demands:
                key = (job_id, is_infeasible, tuple(sorted(demand.items())))
                if key not in counts and len(counts) == 100:
                    continue
                counts[key] = counts.get(key, 0) + count
        return [
            m.Demand(dict(shape), count, "no node can hold it" if bad else "waits for resources", job_id, bad)
            for (job_id, bad, shape), count in counts.items()
        ]

    def has_waiting_actors(self) -> bool:
        return None in self.scheduler.waiters  # leases have an owner

    # ---------------------------------------------------------- granting

    def schedule(self) -> None:
        """Grant while resources and workers last; fork what is missing; ask idle leases back for who waits."""
        while self._grant_one():
            pass
        limit = self.soft_limit()
        for (job_id, runtime_env), wanted in self.scheduler.servable(max(limit, FORKS_AT_ONCE)).items():
            for _ in range(wanted - self.pool.starting.get((job_id, runtime_env), 0)):
                self._raylet.fork(job_id, runtime_env)
        if self.scheduler.waiters:
            self._revoke_for(self.scheduler.waiters.keys())
            if self.has_waiting_actors():
                self._raylet.garbage.actors_wait()
        else:
            self._end_surplus(limit)
        self.reporter.report()

    def _end_surplus(self, limit: int) -> None:
        for surplus in self.pool.surplus(limit, self._now_s(), self._patience_s):
            self._retire(surplus)
        if self.pool.idle_count() > limit and self._surplus_timer is None:
            self._surplus_timer = asyncio.get_running_loop().call_later(self._patience_s, self._end_surplus_later)

    def _retire(self, worker: Worker) -> None:
        """End an idle worker, unless it owns what others borrow."""

        def answered(reply: asyncio.Future[m.Done]) -> None:
            problem = reply.exception()
            if isinstance(problem, aio.RequestFailed) and worker.worker_id in self.pool.workers:
                self.pool.needed(worker, self._now_s())
                self.schedule()
            else:
                self._raylet.kill(worker, "It was idle and not needed.")

        assert worker.connection is not None
        worker.connection.request(m.RetireWorker()).add_done_callback(answered)

    def _end_surplus_later(self) -> None:
        self._surplus_timer = None
        self.schedule()

    def _grant_one(self) -> bool:
        if not self.pool.idle_count():
            return False
        long_ago_s = self._now_s() - self._patience_s
        for waiting in self.scheduler.fitting():
            # The end of an actor, or its crash, must not be that of objects which tasks before it have made.
            needed_before_s = long_ago_s if isinstance(waiting.key, Hosted) else math.inf
            worker = self.pool.take_idle(waiting.job_id, waiting.runtime_env, needed_before_s)
            if worker is None:
                continue
            lease_id = next(self._lease_ids)
            devices = self.scheduler.grant(waiting, lease_id)
            self._raylet.environments.drop(waiting.runtime_env)  # the worker holds it
            assert worker.address is not None
            self.pool.lease(worker, lease_id, waiting.owner)
            worker.working_since_s = self._now_s()
            if isinstance(waiting.key, Hosted):
                worker.is_retriable = waiting.key.spec.max_restarts != 0
            else:
                worker.is_retriable = waiting.request.retriable
            worker.connection.send(self._assignment(waiting, devices))
            if isinstance(waiting.key, Hosted):
                self._raylet.actors.granted(waiting.key, worker)
                return True
            self._answer(waiting, m.LeaseGranted(lease_id=lease_id, worker=worker.address, pid=worker.pid))
            return True
        return False

    def _assignment(self, waiting: Waiting, devices: dict[str, list[str]]) -> m.AssignWorker:
        scheduling = waiting.key.spec.placement if isinstance(waiting.key, Hosted) else waiting.request.scheduling
        return m.AssignWorker(
            waiting.job_id,
            {},
            users_names(waiting.demand),
            devices,
            placement_group_id=scheduling.strategy.placement_group_id,
            runtime_env=waiting.runtime_env,
            capture_child_tasks=scheduling.strategy.capture_child_tasks,
            priority=scheduling.priority,
        )

    def soft_limit(self) -> int:
        limit = self._raylet.config.num_workers_soft_limit
        return limit if limit >= 0 else max(self.scheduler.total.get("CPU", 0) // UNIT, 1)

    def _revoke_for(self, who_waits: Collection[object]) -> None:
        """Ask leases back from owners that keep others waiting; an owner's own requests revoke nothing of its own."""
        for worker in self.pool.take_kept(who_waits):
            worker.owner.send(m.RevokeLease(worker.lease_id))

    def _cancel(self, connection: aio.Connection, message: m.CancelLease) -> None:
        key = (connection, message.request_rid)
        waiting = self.forget(key)
        if waiting is not None:
            self._answer(waiting, m.Failed(kind="cancelled", message="The request was taken back."))
            self.schedule()

    def _return(self, _: aio.Connection, message: m.ReturnLease) -> None:
        worker = self.pool.by_lease(message.lease_id)
        if worker is None:
            return
        self.scheduler.release(message.lease_id)
        if message.worker_broken:
            worker.broken_lease_id = worker.lease_id
            self.pool.end_lease(worker)
            self._raylet.machine.kill(worker.pid)
        elif message.worker_exits:
            self.pool.end_lease(worker)
        else:
            self.pool.put_idle(worker, self._now_s())
        self.schedule()

    def _set_blocked(self, connection: aio.Connection, message: m.SetBlocked) -> None:
        if isinstance(connection.peer, Worker):
            self.scheduler.set_blocked(connection.peer.lease_id, message.blocked)
            self.schedule()

    def owner_gone(self, connection: aio.Connection) -> None:
        """Its requests are void, and nobody wants the results of what its workers run."""
        rids = self._of_connection.pop(connection, set())
        for rid in rids:
            self._joining.pop((connection, rid), None)
            self.forget((connection, rid))
        for worker in self.pool.of_owner(connection):
            self._raylet.kill(worker, "The process that leased it has ended.")
        if rids:  # what they stood in the way of may go on, and the GCS hears that they are gone
            self.schedule()


def waiting_of(
    key: object, scheduling: m.SchedulingClass, resources: Resources, request: Any = None, since_s: float = 0.0
) -> Waiting:
    """A demand in the user's names as it waits here: without zeros, and of its placement group if it has one."""
    demand = {name: units for name, units in resources.items() if units}
    strategy, any_of = scheduling.strategy, b""
    if strategy.kind == "PLACEMENT_GROUP":
        demand = group_demand(demand, strategy)
        any_of = strategy.placement_group_id if strategy.bundle_index < 0 else b""
    owner = key[0] if isinstance(key, tuple) else None
    group_id = strategy.placement_group_id
    env, priority = scheduling.runtime_env, scheduling.priority
    return Waiting(key, scheduling.job_id, demand, request, env, any_of, group_id, owner, priority, since_s)


def _matches_any(scheduling: m.SchedulingClass, labels: Mapping[str, str]) -> bool:
    return any(matches(selector, labels) for selector in (scheduling.label_selector, *scheduling.fallback_selectors))


def _alike(scheduling: m.SchedulingClass) -> bytes:
    """The same for all requests that can go to the same nodes."""
    return msgspec.msgpack.encode(scheduling)
