"""What this raylet knows of why something waits: requests, actors that start, transfers, and who holds what.

Floor: raylet, shell. What is to be asked of a driver or worker of this node is passed on to it. Everything is read from
what is kept anyway, when somebody asks.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from ray._core.common import messages as m
from ray._core.common.groups import MARK, users_names
from ray._core.common.resources import Resources, fits
from ray._core.raylet.actor_host import Hosted
from ray._core.raylet.lines import Waiting
from ray._core.wire import aio
from ray._core.wire.background import Background

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet

ANSWER_TIMEOUT_S = 1.5
"""A process that does not answer in time is said to be silent."""
NODES_NAMED = 3
HOLDERS_NAMED = 4
_RID_SIZE = 8


class InquiryService:
    def __init__(self, raylet: Raylet) -> None:
        self._raylet = raylet
        self._background = Background()

    def inquire(self, connection: aio.Connection, request: m.Inquire) -> None:
        self._background.answer(connection, request, self._answer(connection, request))

    async def _answer(self, connection: aio.Connection, request: m.Inquire) -> None:
        subject = request.subject
        if subject.worker_id:
            core = self._core(subject.worker_id)
            if core is None:
                connection.fail(request, "gone", f"process {subject.worker_id.hex()[:8]} has ended")
                return
            connection.reply(request, await self._ask([core], subject))
        elif subject.kind in ("object", "task"):
            connection.reply(request, await self._ask(list(self._raylet.state.cores), subject))
        else:
            connection.reply(request, m.Findings(found=await self._findings(subject)))

    def _core(self, worker_id: bytes) -> aio.Connection | None:
        cores = self._raylet.state.cores.items()
        return next((core for core, registered in cores if registered.address.worker_id == worker_id), None)

    async def _ask(self, cores: list[aio.Connection], subject: m.Subject) -> m.Findings:
        told, silent = await aio.answers([core.request(m.Inquire(subject=subject)) for core in cores], ANSWER_TIMEOUT_S)
        return m.Findings(found=[finding for each in told for finding in each.found], silent=silent)

    async def _findings(self, subject: m.Subject) -> list[m.Finding]:
        match subject.kind:
            case "lease":
                waiting = self._request(subject.id)
                return [self._waits(subject, waiting)] if waiting is not None else []
            case "actor":
                return self._actor(subject)
            case "pull":
                return self._pull(subject)
            case "node":
                return [await self._room(subject)]
        return []

    # ---------------------------------------------------------- requests that wait

    def _request(self, key: bytes) -> Waiting | None:
        owner_id, rid = key[:-_RID_SIZE], int.from_bytes(key[-_RID_SIZE:])
        for waiting in self._raylet.leases.requests():
            if waiting.request is not None and waiting.request.owner_id == owner_id and waiting.request.rid == rid:
                return waiting
        return None

    def _waits(self, subject: m.Subject, waiting: Waiting) -> m.Finding:
        finding = self._why_waits(subject, waiting)
        hops = waiting.request.hops if waiting.request is not None else 0
        if hops < 2:  # nothing to wonder at
            return finding
        event = m.Event(finding.for_s, f"came here, sent on by {hops} other nodes one after another")
        return msgspec.structs.replace(finding, story=[event])

    def _why_waits(self, subject: m.Subject, waiting: Waiting) -> m.Finding:
        leases, for_s = self._raylet.leases, self._since(waiting.since_s)
        hosted = waiting.key if isinstance(waiting.key, Hosted) else None
        scheduling = waiting.request.scheduling if hosted is None else hosted.spec.placement
        name = waiting.request.name if hosted is None else hosted.spec.class_name
        demand = users_names(waiting.demand)
        if leases.is_preparing(waiting.key):
            return m.Finding(subject, m.BuildsEnvironment(scheduling.runtime_env), name, for_s)
        if waiting.key in leases.aside.requests:
            reason = m.NoNode(demand, leases.why_not(waiting))
            group = [m.Subject("group", waiting.group_id)] if waiting.group_id else []
            return m.Finding(subject, reason, name, for_s, group)
        if fits(waiting.demand, leases.scheduler.available):
            starting = self._raylet.pool.starting.get(waiting.kind, 0)
            return m.Finding(subject, m.StartsWorker(starting), name, for_s)
        nodes = [
            m.Subject("node", node_id, node_id, demand=waiting.demand) for node_id in self._able(waiting, scheduling)
        ]
        lacks = m.LacksRoom(demand, sum(leases.scheduler.waiters.values()), waiting.group_id)
        more = max(len(nodes) - NODES_NAMED, 0)
        return m.Finding(subject, lacks, name, for_s, nodes[:NODES_NAMED], more)

    def _able(self, waiting: Waiting, scheduling: m.SchedulingClass) -> list[bytes]:
        """Nodes that could hold it if they were idle, this one first."""
        own_id, strategy = self._raylet.node_id, scheduling.strategy
        others = [
            view.node_id
            for view in self._raylet.leases.view.others(own_id)
            if view.alive and not view.draining and fits(waiting.demand, view.total)
        ]
        if strategy.kind == "NODE_AFFINITY" and not strategy.soft:
            others = []
        return [own_id, *others]

    def _since(self, at_s: float) -> float:
        return asyncio.get_running_loop().time() - at_s if at_s else -1.0

    # ---------------------------------------------------------- actors that start

    def _actor(self, subject: m.Subject) -> list[m.Finding]:
        hosted = self._raylet.actors.get(subject.id)
        if hosted is None:
            return []
        if hosted.worker is not None:
            worker = hosted.worker
            call = m.Subject("call", hosted.spec.creation_task_id, subject.node_id, worker.worker_id)
            return [
                m.Finding(subject, m.IsSent(0), hosted.spec.class_name, self._since(worker.working_since_s), [call])
            ]
        waiting = self._raylet.leases.scheduler.get(hosted)
        if waiting is not None:
            return [self._waits(subject, waiting)]
        environment = hosted.spec.placement.runtime_env
        return [m.Finding(subject, m.BuildsEnvironment(environment), hosted.spec.class_name)]

    # ---------------------------------------------------------- who holds what

    async def _room(self, subject: m.Subject) -> m.Finding:
        """What the node has of `demand`, and who has the rest of it."""
        scheduler = self._raylet.leases.scheduler
        names = [name for name in subject.demand if not name.startswith(MARK)]
        total = {name: scheduler.total.get(name, 0) for name in names}
        free = {name: scheduler.available.get(name, 0) for name in names}
        holders = []
        for lease_id, held in scheduler.held():
            part = {name: held[name] for name in names if held.get(name)}
            if part:
                holders.append((lease_id, part))
        holders.sort(key=lambda pair: -sum(pair[1].values()))
        named = await asyncio.gather(*(self._holder(*pair) for pair in holders[:HOLDERS_NAMED]))
        room = m.Room(
            self._raylet.node.host,
            _users(total),
            _users(free),
            list(named),
            max(len(holders) - HOLDERS_NAMED, 0),
        )
        return m.Finding(subject, room)

    async def _holder(self, lease_id: object, held: Resources) -> m.Holder:
        worker = self._raylet.pool.by_lease(lease_id) if isinstance(lease_id, int) else None
        amounts = _users(held)
        if worker is None:
            what = f"placement group {lease_id[1].hex()}" if isinstance(lease_id, tuple) else "a process that ends"
            return m.Holder(amounts, 0, what)
        core = self._core(worker.worker_id)
        process = m.Subject("process", worker.worker_id, self._raylet.node_id, worker.worker_id)
        answer = await self._ask([core], process) if core is not None else m.Findings(found=[])
        finding = answer.found[0] if answer.found else m.Finding(process, m.Unknown("it does not answer"))
        waits = isinstance(finding.reason, m.Runs) and finding.reason.waits
        hosted: Hosted | None = worker.hosted
        for_s = self._since(worker.working_since_s)
        if hosted is not None:
            name = f"actor {hosted.spec.name or hosted.spec.class_name} {hosted.spec.actor_id.hex()[:8]}"
        elif isinstance(finding.reason, m.Runs):
            name, for_s = f"task {finding.name}", finding.for_s
        else:
            name = "an idle lease" if isinstance(finding.reason, m.IsIdle) else "a process that does not answer"
        return m.Holder(amounts, worker.pid, name, for_s, waits, self._raylet.leases.scheduler.lends(lease_id))

    # ---------------------------------------------------------- transfers

    def _pull(self, subject: m.Subject) -> list[m.Finding]:
        progress = self._raylet.objects.transfer.progress(subject.id)
        if progress is None:
            return []
        reason, since_s = progress
        return [m.Finding(subject, reason, for_s=self._since(since_s))]


def _users(amounts: Resources) -> Resources:
    """Names as users know them; of a bundle, which counts twice, once."""
    plain: Resources = {}
    for name, units in amounts.items():
        plain.setdefault(name.partition("_group_")[0], units)
    return plain
