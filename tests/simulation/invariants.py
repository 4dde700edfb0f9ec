"""What must hold at every moment, and what must be left when everything is over (architecture, "Simulation")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.raylet.server import Raylet
from simulation.core import NAMESPACE, SimCore
from simulation.loop import Process, Violation

if TYPE_CHECKING:
    from simulation.scenario import Scenario

EVERY = 16
"""Of a process's callbacks one in so many is followed by a look at its tables."""


class Watcher:
    """Looks at the tables of gcs_server and raylets while they work."""

    def __init__(self, scenario: Scenario) -> None:
        self._cluster = scenario.cluster
        self._count = 0

    def after(self, process: Process) -> None:
        self._count += 1
        if self._count % EVERY:
            return
        if process is getattr(self._cluster, "gcs_process", None):
            gcs = getattr(self._cluster, "gcs", None)
            if gcs is not None:
                gcs.actors.table.validate()
                gcs.groups.table.validate()
        elif process.core is not None and hasattr(process.core, "gcs"):
            self._check_core(process.core)
        elif process.name.startswith("raylet"):
            for node in self._cluster.nodes.values():
                if node.process is process and node.raylet is not None:
                    self._check_raylet(node.raylet)

    def _check_raylet(self, raylet: Raylet) -> None:
        raylet.leases.scheduler.validate()
        raylet.objects.table.validate()
        for name, units in raylet.leases.scheduler.available.items():
            if units < 0 and not name.startswith("CPU"):
                raise Violation(f"A raylet has {units} of {name}.")
        keys = [waiting.key for waiting in raylet.leases.requests() if isinstance(waiting.key, tuple)]
        for connection, rid in keys:
            if rid not in raylet.leases._of_connection.get(connection, ()):
                raise Violation(f"Request {rid} of {connection.peer!r} still waits, and was answered.")
        if len(set(keys)) < len(keys):
            raise Violation("A request waits twice.")

    def _check_core(self, core: SimCore) -> None:
        leases, lent = core.submitter.leases, core.lending._lent_to
        peers = [each.peer for each in core._peers.values() if not each.is_closed]
        far = [peer for peer in peers if isinstance(peer, m.Address) and peer.node_id != core.node.node_id]
        is_far = any(peer.worker_id in lent for peer in far) or any(
            not each.is_closed for each in leases._raylets.values()
        )
        if is_far and ("node", b"") not in core.gcs._topics and not core.gcs._is_closed:
            raise Violation(f"{core.process.name} depends on another node, and would not hear of its death.")


async def check_kept(scenario: Scenario, core: SimCore) -> None:
    """What the GCS has acknowledged is there; detached actors answer, and are ended now."""
    for key, value in scenario.keys.items():
        found = (await core.request(core.gcs, m.KvGet(namespace="sim", key=key))).value
        if found != value:
            raise Violation(f"Key {key.hex()} is {found!r}; {value!r} was acknowledged.")
    for key in scenario.deleted_keys:
        if (await core.request(core.gcs, m.KvExists(namespace="sim", key=key))).count:
            raise Violation(f"Key {key.hex()} is there; its deletion was acknowledged.")
    for name, (actor_id, is_immortal) in scenario.detached.items():
        info = (await core.request(core.gcs, m.GetActor(actor_id=actor_id))).info
        if info is None:
            raise Violation(f"The detached actor {name} is forgotten.")
        if info.state != "DEAD":
            named = (await core.request(core.gcs, m.GetActor(name=name, namespace=NAMESPACE))).info
            if named is None or named.actor_id != actor_id:
                raise Violation(f"The detached actor {name} lives and is not found by its name.")
        elif is_immortal:
            raise Violation(f"The detached actor {name} is dead: {info.death_kind} {info.death_cause}")
        if is_immortal:
            handle = core.actors.weak_state(info)
            answer = await core.get_one(core.call_actor(handle, "add", {"token": 1}))
            if answer[0] != 1:
                raise Violation(f"The detached actor {name} answers {answer}.")
    for info in (await core.request(core.gcs, m.ListActors())).actors:
        if info.detached and info.state != "DEAD":
            await core.request(core.gcs, m.KillActor(actor_id=info.actor_id, no_restart=True, cause="All is over."))


def left_over(scenario: Scenario) -> list[str]:
    """What is left of anybody's work, which has ended: nothing may be."""
    wrong = [*_of_the_gcs(scenario), *_of_processes(scenario)]
    for node in scenario.cluster.nodes.values():
        if node.raylet is None:
            wrong.append(f"{node!r} has not started")
            continue
        wrong += [f"{node!r}: {each}" for each in _of_a_raylet(scenario, node.raylet)]
    return wrong


def _of_the_gcs(scenario: Scenario) -> list[str]:
    gcs, wrong = scenario.cluster.gcs, []
    wrong += [f"job {info.job_id.hex()} lives" for info in gcs.jobs.jobs.values() if not info.is_dead]
    wrong += [
        f"actor {i.actor_id.hex()} of {i.class_name} is {i.state}"
        for i in gcs.actors.table.infos()
        if i.state != "DEAD"
    ]
    wrong += [f"group {i.group_id.hex()} is {i.state}" for i in gcs.groups.table.infos() if i.state != "REMOVED"]
    journal = gcs.journal
    if journal._pending or journal._held or journal._committing is not None:
        wrong.append(f"the journal is not empty: {journal!r}")
    living = {node.node_id for node in scenario.cluster.nodes.values()}
    known = {info.node_id for info in gcs.nodes.table.infos() if info.state == "ALIVE"}
    if living != known or set(gcs.nodes.raylets) != living:
        wrong.append(f"nodes: {len(living)} live, {len(known)} are known, {len(gcs.nodes.raylets)} are connected")
    for view in gcs.nodes.table.views():
        if view.available != view.total:
            wrong.append(f"node {view.node_id.hex()[:8]} has {view.available} of {view.total} for the GCS")
    for (channel, _), sinks in gcs.publisher._subscribers.items():
        wrong += [f"a closed connection still subscribes to {channel}" for s in sinks if getattr(s, "is_closed", False)]
    wrong += [f"{len(each)} requests still wait" for each in (gcs.groups.waiting, gcs.kv.waiting) if len(each)]
    return wrong


def _of_a_raylet(scenario: Scenario, raylet: Raylet) -> list[str]:
    leases, pool, wrong = raylet.leases, raylet.pool, []
    scheduler = leases.scheduler
    if scheduler.available != scheduler.total or set(scheduler.total) - set(raylet.total):
        wrong.append(f"{scheduler.available} of {scheduler.total} is free")
    for what, left in (
        ("held", scheduler._held),
        ("blocked", scheduler._blocked),
        ("waiting", scheduler._waiting),
        ("bundles", scheduler.bundles),
        ("reserved bundles", raylet.bundles.held()),
        ("in bundles", scheduler._in_bundle),
        ("claimed", {name: units for name, units in scheduler.claimed.items() if units}),
        ("set aside", leases.aside.requests),
        ("preparing", leases._preparing),
        ("joining", leases._joining),
        ("leased workers", pool.leased()),
        ("owners", pool._by_owner),
        ("kept leases", pool._kept),
        ("starting", pool.starting),
        ("hosted actors", raylet.actors.hosted()),
        ("objects", raylet.objects.table.objects),
        ("environments", raylet.environments.table.infos(b"")),
    ):
        if left:
            wrong.append(f"{what}: {left}")
    requests = {connection: rids for connection, rids in leases._of_connection.items() if rids}
    if requests:
        wrong.append(f"open requests: {requests}")
    for worker in pool.workers.values():
        process = scenario.loop.processes.get(worker.pid)
        if process is None:
            wrong.append(f"worker {worker.pid} is dead and still counted")
    if pool.idle_count() > leases.soft_limit():
        wrong.append(f"{pool.idle_count()} idle workers are kept")
    for view in leases.view.rows.values():
        if view.available != view.total:
            wrong.append(f"node {view.node_id.hex()[:8]} has {view.available} of {view.total} for this raylet")
    if set(leases.view.rows) != {node.node_id for node in scenario.cluster.nodes.values()}:
        wrong.append(f"this raylet knows {len(leases.view.rows)} nodes")
    return wrong


def _of_processes(scenario: Scenario) -> list[str]:
    """Workers hold no object, no lease and no borrowed ref any more."""
    wrong = []
    for process in scenario.loop.processes.values():
        core: SimCore | None = process.core
        if core is None or not hasattr(core, "node"):
            continue
        core.refs.drain()
        lending = core.lending
        for what, left in (
            ("objects", core.objects),
            ("tasks", core.submitter.tasks),
            ("leases", core.submitter.leases.held),
            ("lent", lending._lent_to),
            ("borrowed", lending._borrowed_from),
        ):
            if left:
                wrong.append(f"{process.name} still has {what}: {left}")
    return wrong


def picture(scenario: Scenario) -> dict[str, Any]:
    """What the GCS knows that must survive it."""
    gcs = scenario.cluster.gcs
    return {
        "jobs": gcs.jobs.jobs,
        "actors": {info.actor_id: info for info in gcs.actors.table.infos()},
        "groups": {info.group_id: info for info in gcs.groups.table.infos()},
        "keys": {key: gcs.kv.table.get("sim", key) for key in gcs.kv.table.keys("sim", b"")},
        "nodes": {info.node_id: (info.state, info.death_reason) for info in gcs.nodes.table.infos()},
        "available": {view.node_id: view.available for view in gcs.nodes.table.views()},
    }
