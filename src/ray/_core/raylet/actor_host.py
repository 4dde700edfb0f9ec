"""Actors of this node: created on leases of the scheduler, ended on the GCS's word, their deaths reported.

Floor: raylet, shell. The raylet hands in grants and exits of workers; the GCS decides what follows from a death.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from ray._core.common import messages as m
from ray._core.raylet.env_link import EnvLink
from ray._core.raylet.lines import Waiting
from ray._core.raylet.scheduler import Scheduler
from ray._core.raylet.workers import Worker
from ray._core.wire import aio

logger = logging.getLogger(__name__)
GRACE_S = 30.0
"""An actor that was asked to end and has not (an exit handler hangs) is killed after this."""
CONSTRUCTOR_FAILED = (
    "Worker exits because there was an exception in the initialization method (e.g., __init__). Fix the exceptions "
    "from the initialization to resolve the issue."
)
REFUSAL_S = 0.1
"""A worker that is no place for an actor, since others need what it owns, says so at once: never after this."""


@dataclasses.dataclass(eq=False, slots=True)
class Hosted:
    """One actor here; also its key in the scheduler while it waits. `worker` None: it waits for resources."""

    spec: m.ActorSpec
    incarnation: int
    num_restarts: int
    worker: Worker | None = None
    started: m.ActorStarted | None = None
    """What the GCS was told once it was constructed."""
    end: m.DestroyActor | None = None
    """The order to end it, while its worker may still say that it is no place for it."""


class Leases(Protocol):
    """What this module needs of the raylet's `LeaseManager`."""

    scheduler: Scheduler

    def schedule(self) -> None: ...

    def enqueue_actor(self, hosted: Hosted) -> None: ...

    def forget(self, key: object) -> Waiting | None: ...

    def give_back(self, worker: Worker) -> None: ...


class Gcs(Protocol):
    """The raylet's link to the GCS."""

    def send(self, message: Any) -> None: ...

    def request(self, request: m.Request) -> asyncio.Future[Any]: ...


class Raylet(Protocol):
    """What this module needs of its raylet."""

    node_id: bytes
    environments: EnvLink

    @property
    def gcs(self) -> Gcs: ...

    @property
    def leases(self) -> Leases: ...

    def kill(self, worker: Worker, note: str) -> None: ...


class ActorHost:
    def __init__(self, raylet: Raylet) -> None:
        self._raylet = raylet
        self._actors: dict[bytes, Hosted] = {}

    def __repr__(self) -> str:
        return f"<ActorHost actors={len(self._actors)}>"

    def handlers(self) -> dict[type, Callable[[aio.Connection, Any], None]]:
        return {m.CreateActor: self._create, m.DestroyActor: self._destroy}

    # ---------------------------------------------------------- creation

    def _create(self, _: aio.Connection, message: m.CreateActor) -> None:
        spec = message.spec
        known = self._actors.get(spec.actor_id)
        if known is not None and known.incarnation >= message.incarnation:
            return  # ordered again by a GCS that did not remember
        hosted = self._actors[spec.actor_id] = Hosted(spec, message.incarnation, message.num_restarts)
        self._prepare(hosted)

    def _prepare(self, hosted: Hosted) -> None:
        spec = hosted.spec
        self._raylet.environments.prepare(spec.placement.runtime_env, spec.job_id, partial(self._prepared, hosted))

    def get(self, actor_id: bytes) -> Hosted | None:
        """An actor here, living or being created."""
        return self._actors.get(actor_id)

    def hosted(self) -> list[m.HostedActor]:
        """All actors here, for a GCS that this raylet registers with."""
        rows = []
        for actor in self._actors.values():
            actor_id, told = actor.spec.actor_id, actor.started
            if told is None:
                rows.append(m.HostedActor(actor_id, actor.incarnation))
            else:
                rows.append(m.HostedActor(actor_id, actor.incarnation, told.address, told.pid, told.repr_name))
        return rows

    def _prepared(self, hosted: Hosted, error: str) -> None:
        """Its runtime environment is there (and held by this request), or could not be built."""
        spec = hosted.spec
        if error:
            self.env_failed(hosted, error)
        elif not self._lives(hosted):  # destroyed meanwhile
            self._raylet.environments.drop(spec.placement.runtime_env)
        else:
            self._raylet.leases.enqueue_actor(hosted)

    def env_failed(self, hosted: Hosted, error: str) -> None:
        """There will be no worker for it: its environment cannot be built, or no worker starts in it."""
        if self._lives(hosted) and hosted.started is None:
            self._start_failed(hosted, "runtime_env", error)

    def lost_bundle(self, hosted: Hosted, removed: bool) -> None:
        """It waited for a bundle that this node does not have any more: another node may have it, or none ever."""
        self._raylet.leases.forget(hosted)
        group = hosted.spec.placement.strategy.placement_group_id.hex()
        text = (
            "Could not create the actor because its associated placement group was removed.\n"
            f"Required placement group {group} is removed."
        )
        self._start_failed(hosted, "unschedulable" if removed else "spill", text)

    def give_up(self, hosted: Hosted) -> None:
        """It waits here, and another node has room: the GCS places it anew."""
        self._raylet.leases.forget(hosted)
        self._start_failed(hosted, "spill", "Another node has room.")

    def granted(self, hosted: Hosted, worker: Worker) -> None:
        """Its resources and a worker are there: construct it."""
        hosted.worker, worker.hosted = worker, hosted
        order = m.ConstructActor(spec=hosted.spec, incarnation=hosted.incarnation, num_restarts=hosted.num_restarts)
        worker.connection.request(order).add_done_callback(lambda future: self._constructed(hosted, future))

    def _constructed(self, hosted: Hosted, future: asyncio.Future[m.ActorCreated]) -> None:
        problem, worker = future.exception(), hosted.worker
        if worker is None or not self._lives(hosted) or isinstance(problem, aio.ConnectionLost):
            return  # destroyed meanwhile, or its process ended: `exited` tells how
        if isinstance(problem, aio.RequestFailed) and problem.kind == "needed":
            self._refused(hosted, worker)
            return
        if isinstance(problem, aio.RequestFailed):
            self._start_failed(hosted, problem.kind, problem.message, problem.detail)
            if problem.kind == "init_failed":
                worker.exit_kind = "CONSTRUCTOR_FAILED"
            self._raylet.kill(worker, f"{CONSTRUCTOR_FAILED} {problem.message}")
            return
        done = future.result()
        hosted.started = m.ActorStarted(
            hosted.spec.actor_id, hosted.incarnation, done.address, done.pid, done.repr_name
        )
        self._raylet.gcs.send(hosted.started)

    def _refused(self, hosted: Hosted, worker: Worker) -> None:
        """Others need what the worker owns: the actor gets another one, if it is still wanted."""
        hosted.worker = worker.hosted = None
        self._raylet.leases.give_back(worker)
        if hosted.end is None:
            self._prepare(hosted)
        else:
            self._forget(hosted)
            self._raylet.leases.schedule()

    def _start_failed(self, hosted: Hosted, kind: str, message: str, detail: bytes = b"") -> None:
        self._forget(hosted)
        failed = m.ActorStartFailed(
            hosted.spec.actor_id, hosted.incarnation, kind, message, detail, self._raylet.node_id
        )
        self._raylet.gcs.request(failed).add_done_callback(_told)

    # ---------------------------------------------------------- ends

    def _destroy(self, _: aio.Connection, message: m.DestroyActor) -> None:
        hosted = self._actors.get(message.actor_id)
        if hosted is None or hosted.incarnation > message.incarnation:
            return
        worker = hosted.worker
        if worker is None:
            self._raylet.leases.forget(hosted)
            self._forget(hosted)
            self._raylet.leases.schedule()  # what it stood in the way of may go on
        elif worker.has_served and hosted.started is None:
            if hosted.end is None:
                asyncio.get_running_loop().call_later(REFUSAL_S, self._end, hosted, worker)
            if hosted.end is None or not message.graceful:
                hosted.end = message
        else:
            hosted.end = message
            self._end(hosted, worker)

    def _end(self, hosted: Hosted, worker: Worker) -> None:
        """End its process as the last order says, unless that is no longer its process."""
        if hosted.end is None or not self._lives(hosted) or hosted.worker is not worker:
            return
        if hosted.end.graceful:
            worker.connection.send(m.ExitWorker(True, hosted.end.cause))
            asyncio.get_running_loop().call_later(GRACE_S, self._insist, worker)
        else:
            self._raylet.kill(worker, hosted.end.cause)

    def _insist(self, worker: Worker) -> None:
        hosted: Hosted | None = worker.hosted
        if hosted is not None and self._lives(hosted):
            logger.warning("Actor %s did not end in %s s: killed.", hosted.spec.actor_id.hex(), GRACE_S)
            self._raylet.kill(worker, "It did not end when asked to.")

    def exited(self, worker: Worker, kind: str, cause: str) -> None:
        """The process of a worker that hosts an actor has ended."""
        hosted: Hosted | None = worker.hosted
        if hosted is None or not self._lives(hosted):
            return
        if hosted.started is None:
            self._start_failed(hosted, "user_exit" if kind == "INTENDED_USER_EXIT" else "worker_died", cause)
            return
        self._forget(hosted)
        died = m.ActorDied(hosted.spec.actor_id, hosted.incarnation, kind, cause, worker.worker_id)
        self._raylet.gcs.request(died).add_done_callback(_told)

    def _forget(self, hosted: Hosted) -> None:
        if self._lives(hosted):
            del self._actors[hosted.spec.actor_id]

    def _lives(self, hosted: Hosted) -> bool:
        return self._actors.get(hosted.spec.actor_id) is hosted


def _told(answer: asyncio.Future[Any]) -> None:
    """The link asks until it is answered; a GCS that is given up ends this raylet."""
    if not answer.cancelled():
        answer.exception()
