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
from ray._core.raylet.scheduler import Scheduler, Waiting
from ray._core.raylet.workers import Worker
from ray._core.wire import aio

logger = logging.getLogger(__name__)
GRACE_S = 30.0
"""An actor that was asked to end and has not (an exit handler hangs) is killed after this."""


@dataclasses.dataclass(eq=False, slots=True)
class Hosted:
    """One actor here; also its key in the scheduler while it waits. `worker` None: it waits for resources."""

    spec: m.ActorSpec
    incarnation: int
    creation: m.CreateActor | None
    """The request that is not answered yet."""
    connection: aio.Connection
    """Of the GCS, which asked."""
    worker: Worker | None = None


class Leases(Protocol):
    """What this module needs of the raylet's `LeaseManager`."""

    scheduler: Scheduler

    def schedule(self) -> None: ...

    def forget(self, key: object) -> Waiting | None: ...


class Raylet(Protocol):
    """What this module needs of its raylet."""

    environments: EnvLink

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

    def _create(self, connection: aio.Connection, request: m.CreateActor) -> None:
        spec = request.spec
        hosted = Hosted(spec, request.incarnation, request, connection)
        self._actors[spec.actor_id] = hosted
        self._raylet.environments.prepare(spec.placement.runtime_env, spec.job_id, partial(self._prepared, hosted))

    def _prepared(self, hosted: Hosted, error: str) -> None:
        """Its runtime environment is there (and held by this request), or could not be built."""
        spec = hosted.spec
        if error:
            self.env_failed(hosted, error)
        elif not self._lives(hosted):  # destroyed meanwhile
            self._raylet.environments.drop(spec.placement.runtime_env)
        else:
            waiting = Waiting(hosted, spec.job_id, dict(spec.held), runtime_env=spec.placement.runtime_env)
            self._raylet.leases.scheduler.enqueue(waiting)
            self._raylet.leases.schedule()

    def env_failed(self, hosted: Hosted, error: str) -> None:
        """There will be no worker for it: its environment cannot be built, or no worker starts in it."""
        if self._lives(hosted) and hosted.creation is not None:
            self._forget(hosted)
            hosted.connection.fail(hosted.creation, "runtime_env", error)

    def granted(self, hosted: Hosted, worker: Worker) -> None:
        """Its resources and a worker are there: construct it."""
        hosted.worker, worker.hosted = worker, hosted
        assert hosted.creation is not None
        creation = m.CreateActor(
            spec=hosted.spec, incarnation=hosted.incarnation, num_restarts=hosted.creation.num_restarts
        )
        worker.connection.request(creation).add_done_callback(lambda future: self._constructed(hosted, future))

    def _constructed(self, hosted: Hosted, future: asyncio.Future[m.ActorCreated]) -> None:
        request, worker = hosted.creation, hosted.worker
        if request is None or worker is None or isinstance(future.exception(), aio.ConnectionLost):
            return  # destroyed meanwhile, or its process ended: `exited` tells how
        hosted.creation = None
        problem = future.exception()
        if isinstance(problem, aio.RequestFailed):
            self._forget(hosted)
            hosted.connection.fail(request, problem.kind, problem.message, problem.detail)
            self._raylet.kill(worker, "The actor's constructor failed.")
            return
        hosted.connection.reply(request, future.result())

    # ---------------------------------------------------------- ends

    def _destroy(self, _: aio.Connection, message: m.DestroyActor) -> None:
        hosted = self._actors.get(message.actor_id)
        if hosted is None:
            return
        worker = hosted.worker
        if worker is None:
            self._raylet.leases.forget(hosted)
            self._forget(hosted)
        elif message.graceful:
            worker.connection.send(m.ExitWorker(True, message.cause))
            asyncio.get_running_loop().call_later(GRACE_S, self._insist, worker)
        else:
            self._raylet.kill(worker, message.cause)

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
        self._forget(hosted)
        request = hosted.creation
        if request is None:
            died = m.ActorDied(hosted.spec.actor_id, hosted.incarnation, kind, cause, worker.worker_id)
            hosted.connection.send(died)
        else:
            failed = "user_exit" if kind == "INTENDED_USER_EXIT" else "worker_died"
            hosted.connection.fail(request, failed, cause)

    def _forget(self, hosted: Hosted) -> None:
        if self._lives(hosted):
            del self._actors[hosted.spec.actor_id]

    def _lives(self, hosted: Hosted) -> bool:
        return self._actors.get(hosted.spec.actor_id) is hosted
