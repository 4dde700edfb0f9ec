"""The core worker of a simulated driver or worker.

It is the real one (submitter, leases, actors, counting of references) with its reactor replaced. What blocks a thread
there (`get`, registering) is awaited here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from ray._core.common import config as configuration
from ray._core.common import messages as m
from ray._core.common.ids import TaskIDSource
from ray._core.common.options import ActorOptions, MethodOptions, Placing, TaskOptions
from ray._core.worker.actors import ActorState
from ray._core.worker.core import CoreWorker
from ray._core.worker.gcs_client import GcsClient
from ray._core.worker.object_ref import ObjectRef
from ray._core.worker.submitter import Template
from simulation.loop import Process
from simulation.reactor import Connection, SimReactor

if TYPE_CHECKING:
    from simulation.cluster import Cluster

NAMESPACE = "simulation"


class Failure(Exception):
    """A request was answered by `Failed`."""

    def __init__(self, reply: m.Failed) -> None:
        super().__init__(f"{reply.kind}: {reply.message}")
        self.kind = reply.kind


class _Silent:
    """In the place of what would print, or change the environment of this interpreter."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


class Arrival:
    """Fulfils a future when a value has arrived; see `objects.Arrival`."""

    fails_fast = False

    def __init__(self) -> None:
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def arrived(self, count: int = 1) -> None:
        if not self.future.done():
            self.future.set_result(None)

    finish = arrived


class SimulatedClass:
    """The class of all simulated actors; it is never instantiated."""


class SimCore(CoreWorker):
    def __init__(
        self, cluster: Cluster, process: Process, mode: str, raylet_path: str, worker_id: bytes, executor: Any = None
    ) -> None:
        self.cluster, self.process, self._raylet_path = cluster, process, raylet_path
        rng = cluster.loop.random_for(f"ids of {process.name}")
        reactor: Any = SimReactor(cluster.loop, process)
        super().__init__(mode, executor, reactor)
        self.worker_id = worker_id
        self.token = b""
        self._ids = TaskIDSource()
        self._ids._next = rng.getrandbits(64)
        self.unread_errors = self.assignment = _Silent()  # type: ignore[assignment]
        self.namespace = NAMESPACE
        self._templates: dict[bytes, Template] = {}
        process.core = self

    async def start(self) -> None:
        """Listen, and make oneself known to the raylet of this node."""
        host, process = self.process.host, self.process
        self.path = f"{self._raylet_path}.{process.pid}"
        reactor: Any = self.reactor
        port = await reactor.listen(self, self.token, self.path)
        self.raylet = self.reactor.connect_unix(self._raylet_path, self)
        self.raylet.peer, self.raylet.role = "raylet", "own raylet"
        self.address = m.Address(b"", self.worker_id, host.ip, port, self.path)
        self.raylet.send(m.Hello(m.PROTOCOL, self.mode, worker_id=self.worker_id, pid=process.pid))
        is_driver = self.mode == "driver"
        registration = m.RegisterWorker(address=self.address, pid=process.pid, is_driver=is_driver)
        registered: m.WorkerRegistered = await self.request(self.raylet, registration)
        self.node = registered.node
        self.config = configuration.load(registered.config, {})
        self.address = m.Address(self.node.node_id, self.worker_id, host.ip, port, self.path)
        self.gcs = GcsClient(self, registered.gcs_host, registered.gcs_port)
        self.gcs.on_given_up = self.actors.gcs_given_up
        if self.executor is not None:
            self.executor.open()

    async def become_driver(self) -> None:
        request = m.RegisterJob(
            namespace=NAMESPACE, driver=self.address, driver_pid=self.process.pid, driver_host="host", entrypoint="plan"
        )
        self.job_id = (await self.request(self.gcs, request)).job_id
        self.job_registration = msgspec.structs.replace(request, job_id=self.job_id)

    def closed(self, connection: Any, reason: str) -> None:
        if connection is self.raylet and self.mode == "worker":
            self.cluster.loop.kill(self.process, 1 << 8)  # as os._exit(1)
            return
        super().closed(connection, reason)

    def received(self, connection: Any, message: Any, payload: bytes) -> None:
        if isinstance(message, m.AssignWorker):
            self.cluster.ledger.leased(self)
        super().received(connection, message, payload)

    async def request(self, connection: Any, request: m.Request) -> Any:
        """The reply. Raises Failure."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        connection.request(request, lambda reply: None if future.done() else future.set_result(reply))
        reply = await future
        if isinstance(reply, m.Failed) and reply.kind == "gcs_away":  # this driver is lost; the scenario ends it
            await asyncio.get_running_loop().create_future()
        if isinstance(reply, m.Failed):
            raise Failure(reply)
        return reply

    # ---------------------------------------------------------- what user code does

    async def arrive(self, ref: ObjectRef[Any]) -> None:
        """Wait until the value can be read here."""
        entry = self.objects[ref.binary()]
        if not self.remote.is_here(entry):
            arrival = Arrival()
            entry.arrivals = [*entry.arrivals, arrival]
            if entry.value is None:
                self.refs.fetch(ref.binary(), entry)
            else:
                self.remote.bring(ref.binary(), entry)
            await arrival.future

    async def get_one(self, ref: ObjectRef[Any]) -> Any:
        """The value; raises its error. Not for a task, which would have to lend its CPU: see the executor."""
        await self.arrive(ref)
        value = self.objects[ref.binary()].value
        assert value is not None
        return self.values.load(ref, value)

    def task(self, plan: dict[str, Any], *args: Any, **options: Any) -> ObjectRef[Any]:
        """Start a task that does what `plan` says (see `executor.run_plan`)."""
        key = msgspec.msgpack.encode(sorted(options.items(), key=lambda item: item[0]))
        template = self._templates.get(key)
        if template is None:
            resources = options.pop("resources", {"CPU": 10_000})
            strategy = options.pop("strategy", None)
            placing = Placing(resources=resources, strategy=strategy)
            made = TaskOptions(placing=placing, name="plan", function_name="simulation.plan", **options)
            template = self._templates[key] = Template(made, "plan", b"", self.job_id, NAMESPACE, [])
        refs: list[ObjectRef[Any]] = self.submit(template, (plan, *args), {})
        return refs[0]

    def put_value(self, value: Any) -> ObjectRef[Any]:
        return self.values.put(value)

    async def create_actor(self, plan: dict[str, Any], *, name: str = "", **options: Any) -> ActorState:
        """As `Actors.create`, whose wait for a named actor's registration would block."""
        held = options.pop("held", {})
        placing = Placing(resources=options.pop("resources", {"CPU": 10_000}), strategy=options.pop("strategy", None))
        made = ActorOptions(
            placing=placing, held=held, class_name="Simulated", namespace=NAMESPACE, name=name, **options
        )
        actors, ask = self.actors, self.ask
        if not name:
            return actors.create(SimulatedClass, made, _METHODS, (plan,), {})
        asked: list[m.Request] = []

        def note(connection: Any, request: m.Request, timeout_s: float | None = 60.0) -> Any:
            asked.append(request)
            raise _Asked

        self.ask = note  # type: ignore[method-assign]
        try:
            actors.create(SimulatedClass, made, _METHODS, (plan,), {})
        except _Asked:
            pass
        finally:
            self.ask = ask  # type: ignore[method-assign]
        request: Any = asked[0]
        client = actors._followed[request.spec.actor_id]
        try:
            reply = await self.request(self.gcs, request)
        except Failure:
            actors._never_was(client)
            raise
        if reply.info.actor_id != request.spec.actor_id:
            actors._never_was(client)
            return actors.weak_state(reply.info)
        actors._registered(client, reply)
        actor_id = request.spec.actor_id
        return ActorState(client, request.handle_blob, None if made.lifetime_detached else actors._counted(actor_id))

    def call(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("This blocks; use `request`.")

    def call_actor(self, state: ActorState, method: str, *args: Any) -> ObjectRef[Any]:
        template = self.actors.template(state, method, MethodOptions())
        refs: list[ObjectRef[Any]] = self.actors.submit(state, template, args, {})
        return refs[0]

    async def find_actor(self, name: str) -> ActorState | None:
        info = (await self.request(self.gcs, m.GetActor(name=name, namespace=NAMESPACE))).info
        return None if info is None else self.actors.weak_state(info)


class _Asked(Exception):
    pass


_METHODS = {name: MethodOptions() for name in ("add", "hold", "give", "exit")}

__all__ = ["Connection", "Failure", "SimCore", "deque"]
