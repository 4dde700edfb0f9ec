"""Asks a cluster for its state: the one this process is connected to, or another by its address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ray._core.common import config as configuration
from ray._core.common import messages as m
from ray._core.common import task_events
from ray._core.common.errors import RaySystemError
from ray._core.node import session_dir
from ray._core.wire import auth, blocking
from ray._core.worker import object_ref as _process
from ray._private import addresses, state_rows
from ray._private.state_rows import Row
from ray.util.state.common import StateResource
from ray.util.state.exception import RayStateApiException, ServerUnavailable


class Source:
    """`silent` after a question: how many processes did not answer in time. `timeout_s` of each question."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self.timeout_s = 30.0
        self.silent = 0

    def rows(self, resource: StateResource, timeout_s: float) -> list[Row]:
        """Every row there is, all columns.

        Raises:
            RayStateApiException: the cluster does not tell.
            ServerUnavailable: nobody answers.
        """
        self.timeout_s, self.silent = timeout_s, 0
        return _READERS[resource](self)

    def ask(self, request: m.Request) -> Any:
        """Raises as `rows`."""
        core = _process._core
        if self._address is None and core is not None:
            try:
                return core.call(core.gcs, request, self.timeout_s)
            except RaySystemError as error:
                raise RayStateApiException(str(error)) from None
        host, port = self._resolve().rsplit(":", 1)
        token = auth.load_token(configuration.load().enable_token_auth)
        try:
            sock = blocking.connect_tcp(host, int(port), token, self.timeout_s)
        except OSError as error:
            raise ServerUnavailable(f"Failed to connect to the cluster at {host}:{port}: {error}") from None
        with blocking.Client(sock, m.Hello(m.PROTOCOL, "cli")) as client:
            try:
                return client.request(request, self.timeout_s)
            except blocking.RemoteError as error:
                raise RayStateApiException(error.message) from None
            except OSError as error:
                raise ServerUnavailable(f"The cluster at {host}:{port} did not answer: {error}") from None

    def _resolve(self) -> str:
        address = self._address
        if address is not None and address.startswith(("http://", "https://")):
            raise ServerUnavailable(f"{address} is a dashboard's address; the state is asked of host:port of the head.")
        cluster = addresses.find(address or "auto", session_dir.temp_dir(None))
        if cluster is None:
            raise ServerUnavailable(f"address={address!r} names no running cluster.")
        return cluster.address

    # ---------------------------------------------------------- readers

    def _dump(self, what: str) -> list[bytes]:
        dump: m.StateDump = self.ask(m.DumpState(what=what))
        self.silent = dump.silent
        return dump.blobs

    def _actors(self) -> list[Row]:
        return [state_rows.actor(info) for info in self.ask(m.ListActors()).actors]

    def _tasks(self) -> list[Row]:
        told = task_events.rows(map(task_events.decode, self._dump("tasks")))
        created = [state_rows.creation_task(info) for info in self.ask(m.ListActors()).actors if info.is_told]
        return [state_rows.task(row) for row in told] + created

    def _objects(self) -> list[Row]:
        lists = [msgspec.msgpack.decode(blob, type=list[m.ObjectInfo]) for blob in self._dump("objects")]
        return [state_rows.object_row(info) for each in lists for info in each]

    def _workers(self) -> list[Row]:
        from ray.dashboard.modules.job.common import RAY_INTERNAL_NAMESPACE_PREFIX

        lists = [msgspec.msgpack.decode(blob, type=list[m.WorkerInfo]) for blob in self._dump("workers")]
        jobs = {job.driver.worker_id: job for job in self.ask(m.ListJobs()).jobs}
        told = [(info, jobs.get(info.worker_id)) for each in lists for info in each]
        # The dashboard is a driver too, but nobody's.
        return [
            state_rows.worker(info, job)
            for info, job in told
            if job is None or not job.namespace.startswith(RAY_INTERNAL_NAMESPACE_PREFIX)
        ]

    def _runtime_envs(self) -> list[Row]:
        lists = [msgspec.msgpack.decode(blob, type=list[m.RuntimeEnvInfo]) for blob in self._dump("runtime_envs")]
        return [state_rows.runtime_env(info) for each in lists for info in each]

    def _events(self) -> list[Row]:
        (blob,) = self._dump("events")
        told = msgspec.msgpack.decode(blob, type=list[m.EventInfo])
        return [state_rows.cluster_event(number, info) for number, info in enumerate(told)]

    def _nodes(self) -> list[Row]:
        return [state_rows.node(info) for info in self.ask(m.ListNodes()).nodes]

    def _jobs(self) -> list[Row]:
        from ray.dashboard.modules.job.details import all_jobs

        return [job.dict() for job in all_jobs(self.ask)]

    def _groups(self) -> list[Row]:
        return [state_rows.placement_group(info) for info in self.ask(m.ListGroups()).groups]


_READERS: dict[StateResource, Callable[[Source], list[Row]]] = {
    StateResource.ACTORS: Source._actors,
    StateResource.CLUSTER_EVENTS: Source._events,
    StateResource.JOBS: Source._jobs,
    StateResource.NODES: Source._nodes,
    StateResource.OBJECTS: Source._objects,
    StateResource.PLACEMENT_GROUPS: Source._groups,
    StateResource.RUNTIME_ENVS: Source._runtime_envs,
    StateResource.TASKS: Source._tasks,
    StateResource.WORKERS: Source._workers,
}
