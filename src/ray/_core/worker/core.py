"""The core worker: what makes a process a driver or a worker. Owns objects, submits tasks, fetches values.

Floor: worker, shell. One per process. `lock` (the reactor's) guards all state; methods that say "locked" want it held.
The public face calls `template`, `submit`, `put`, `get`, `wait`; `executor` runs what others push here.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from ray._core.common import config as configuration
from ray._core.common import messages as m
from ray._core.common.errors import RaySystemError
from ray._core.common.ids import NO_ACTOR_PREFIX, TaskIDSource
from ray._core.common.messages import senders
from ray._core.common.options import TaskOptions
from ray._core.wire import auth
from ray._core.wire.connection import Connection
from ray._core.wire.ports import WORKER_PORTS, bind_within, ports
from ray._core.wire.reactor import Reactor, Waiter
from ray._core.worker import garbage, object_ref, setup_hook
from ray._core.worker.actors import Actors
from ray._core.worker.assignment import Assignment
from ray._core.worker.cancellation import Cancellation
from ray._core.worker.explain import Explainer
from ray._core.worker.functions import Exports
from ray._core.worker.gcs_client import GcsClient
from ray._core.worker.groups import Groups
from ray._core.worker.inquiry import Inquiry
from ray._core.worker.invocation import Call, current
from ray._core.worker.lineage import Lineage
from ray._core.worker.objects import Entry, Lending
from ray._core.worker.references import References
from ray._core.worker.remote_objects import RemoteObjects
from ray._core.worker.strays import Strays
from ray._core.worker.streams import Streams
from ray._core.worker.submitter import Submitter
from ray._core.worker.task_log import TaskLog
from ray._core.worker.task_record import Template
from ray._core.worker.timeouts import Timeouts
from ray._core.worker.unread_errors import UnreadErrors
from ray._core.worker.values import Values

if TYPE_CHECKING:
    from ray._core.worker.actor_recipe import ActorRecipe


logger = logging.getLogger(__name__)


class CoreWorker:
    """State and connections of this process. `executor` handles pushed tasks; None in a driver.

    A worker's is made in the zygote, so that its forks need not write to all that takes part in making it. Whatever
    belongs to one process, its descriptors, ids and environment, comes with `connect`.
    """

    def __init__(self, mode: str, executor: Any = None, reactor: Reactor | None = None) -> None:
        self.mode = mode
        self.worker_id = self.job_id = b""
        self.reactor = reactor or Reactor(opens=False)
        self.lock = self.reactor.lock
        self.objects: dict[bytes, Entry] = {}
        self.refs = References(self)
        self.values = Values(self)
        self.lending = Lending(self)
        self.remote = RemoteObjects(self)
        self.strays = Strays()
        self.groups = Groups(self)
        self.submitter = Submitter(self)
        self.lineage = Lineage(self)
        self.actors = Actors(self)
        self.streams = Streams(self)
        self.exports = Exports(self)
        self.cancellation = Cancellation(self)
        self.timeouts = Timeouts(self)
        self.inquiry = Inquiry(self)
        self.explainer = Explainer(self)
        self.is_closed = False
        self.executor: Any = executor(self) if executor is not None else None
        self.session_token = object()
        self._ids: TaskIDSource
        self._peers: dict[bytes, Connection] = {}
        self.gcs: GcsClient
        self.job_registration: m.RegisterJob | None = None
        """How a driver makes itself known to a GCS that has restarted."""
        self.runtime_env = ""
        """JSON of this process's runtime environment, which what it starts inherits; "" for none."""
        self.assignment: Assignment
        self.priority = 0
        """Of what this process runs; what that submits has the same unless it says otherwise."""
        self.hands_down = False
        """Whether what is submitted here inherits something: this priority, or a placement group."""
        self.namespace = ""
        """Of the job's named actors."""
        self.detached_actors = False
        """Whether actors of the job for which nothing is said outlive it."""
        self.keeps_lineage = True
        """Whether lost objects of the job are made again."""
        self.code_paths: list[str] = []
        self.logging = ""
        self.actor_id = b""
        self.actor_name = ""
        self.actor_restarts = 0
        """How often the actor in this process has been restarted before."""
        self.unread_errors: UnreadErrors
        self.task_log = TaskLog(self)
        self.handlers = self._make_handlers()
        """Which message goes where; called by the leader with the lock held."""

    @property
    def current(self) -> Call | None:
        """The call that this thread, or asyncio task, runs; None in a driver and between calls."""
        return current.get()

    # ---------------------------------------------------------- connecting

    def connect(self, raylet_path: str, worker_id: bytes, job_id: bytes = b"") -> None:
        """Become a core worker of the node whose raylet listens there."""
        self.worker_id, self.job_id = worker_id, job_id
        self._ids = TaskIDSource()
        self.assignment = Assignment()
        self.unread_errors = UnreadErrors()
        self.reactor.open()
        self.token = auth.load_token()
        self.path = f"{os.path.dirname(raylet_path)}/{self.worker_id[:6].hex()}{os.getpid()}"
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(self.path)
        listening.listen(1024)
        self._listening = listening
        self.reactor.start()
        with self.lock:
            self.reactor.listen(listening, self, None)
            host = os.environ.get("RAY_NODE_IP", "") if self.mode == "worker" else ""
            port = self._listen_tcp(host) if host else 0
            self.raylet = self.reactor.connect_unix(raylet_path, self)
            self.raylet.peer, self.raylet.role = "raylet", "own raylet"
            self.address = m.Address(b"", self.worker_id, host, port, self.path)
            self.raylet.send(m.Hello(m.PROTOCOL, self.mode, worker_id=self.worker_id, pid=os.getpid()))
        registered = self._register(ready=not setup_hook.is_wanted())
        self.node: m.NodeInfo = registered.node
        self.config = configuration.load(registered.config)
        with self.lock:
            host = self.node.host
            port = self.address.port or self._listen_tcp(host)  # a driver learns its node's address only now
            self.address = m.Address(self.node.node_id, self.worker_id, host, port, self.path)
        self.gcs = GcsClient(self, registered.gcs_host, registered.gcs_port)
        self.gcs.on_given_up = self.actors.gcs_given_up
        self.values.attach(registered)

    def _register(self, ready: bool) -> m.WorkerRegistered:
        is_driver = self.mode == "driver"
        registration = m.RegisterWorker(address=self.address, pid=os.getpid(), is_driver=is_driver, ready=ready)
        reply: m.WorkerRegistered = self.call(self.raylet, registration)
        return reply

    def run_setup_hook(self) -> None:
        """Call what `worker_process_setup_hook` names, and only then offer this worker; end it when that fails."""
        if not setup_hook.is_wanted():
            return
        error = setup_hook.run(lambda key: self.ask_gcs(m.KvGet(namespace="fun", key=key)).value)
        if error:
            with self.lock:
                self.raylet.send(m.WorkerExiting("RUNTIME_ENV", error))
                self.reactor.flush()
            os._exit(1)
        self._register(ready=True)

    def _listen_tcp(self, host: str) -> int:
        """Let core workers of other nodes connect; they prove the token first. Returns the port. Locked."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening_tcp = listening = socket.socket(family)
        is_local = host == "::1" or host.startswith("127.")
        bind_within(listening, host if is_local else "", ports(os.environ.get(WORKER_PORTS, "")))
        listening.listen(1024)
        self.reactor.listen(listening, self, self.token)
        port: int = listening.getsockname()[1]
        return port

    @property
    def gcs_address(self) -> str:
        return self.gcs.address

    def register_job(
        self, namespace: str, entrypoint: str, runtime_env: str = "", metadata: dict[str, str] | None = None
    ) -> None:
        request = m.RegisterJob(
            namespace=namespace,
            driver=self.address,
            driver_pid=os.getpid(),
            driver_host=socket.gethostname(),
            entrypoint=entrypoint,
            runtime_env=runtime_env,
            metadata=metadata or {},
        )
        self.runtime_env = runtime_env
        self.job_id = self.ask_gcs(request).job_id
        self.job_registration = msgspec.structs.replace(request, job_id=self.job_id)

    def shutdown(self, node_stays: bool = False) -> None:
        """Disconnect; refs of before are invalid. What this process owned is freed with it, and not read any more.

        `node_stays`: its memory goes on to be used by others. Values that the user has kept are copied first.
        """
        if node_stays:
            self.values.keep()
        object_ref._core = None
        with self.lock:
            self.refs.drain()  # the errors among what was dropped last want to be told, too
        self.unread_errors.stop()
        self.values.stop()
        self.is_closed = True
        with self.lock:
            self.task_log.flush()
            self.reactor.flush()
            self.gcs.close()
        self.reactor.close()
        self._listening.close()
        self._listening_tcp.close()
        os.unlink(self.path)
        self.values.close()

    def listening_sockets(self) -> list[socket.socket]:
        return [self._listening, self._listening_tcp]

    def peer(self, address: m.Address) -> Connection:
        """The connection to another core worker, by Unix socket on this node and TCP to others. Locked.

        Raises OSError when its process on this node has ended; one elsewhere that cannot be reached closes it.
        """
        connection = self._peers.get(address.worker_id)
        if address.node_id != self.node.node_id:
            self.watch_nodes()  # also for a connection that was made from there: something depends on it from now on
        if connection is None or connection.is_closed:
            if address.node_id == self.node.node_id:
                connection = self.reactor.connect_unix(address.path, self)
            else:
                connection = self.reactor.connect_tcp(address.host, address.port, self, self.token)
            connection.peer = address
            connection.send(m.Hello(m.PROTOCOL, self.mode, worker_id=self.worker_id, address=self.address))
            self._peers[address.worker_id] = connection
        return connection

    def watch_nodes(self) -> None:
        """From now on hear which nodes die: a dead machine closes no connection. Locked."""
        self.gcs.subscribe("node")

    def watch_node_of(self, worker_id: bytes) -> None:
        """The same, if that process has connected from another node. Locked."""
        connection = self._peers.get(worker_id)
        if connection is not None and connection.peer.node_id != self.node.node_id:
            self.watch_nodes()

    def _node_changed(self, info: m.NodeInfo) -> None:
        if info.state != "DEAD":
            return
        self.remote.node_died(info.node_id)
        self.submitter.leases.node_died(info.node_id)
        for connection in [c for c in self._peers.values() if c.peer.node_id == info.node_id]:
            connection.close("its node has died")

    def ask(self, connection: Connection | GcsClient, request: m.Request, timeout_s: float | None = 60.0) -> Any:
        """The reply, `Failed` included. Raises RaySystemError when none comes in time."""
        waiter, replies = Waiter(self.reactor), deque[Any]()

        def on_reply(reply: Any) -> None:
            replies.append(reply)
            waiter.finish()

        with self.lock:
            connection.request(request, on_reply)
            self.reactor.flush()
        if not self.reactor.wait(waiter, timeout_s):
            why = f" {connection.trouble}" if isinstance(connection, GcsClient) else ""
            raise RaySystemError(f"No answer to {type(request).__name__} from {connection.peer} in {timeout_s} s.{why}")
        return replies[0]

    def call(self, connection: Connection | GcsClient, request: m.Request, timeout_s: float | None = 60.0) -> Any:
        """As `ask`, but `Failed` raises RaySystemError."""
        reply = self.ask(connection, request, timeout_s)
        if isinstance(reply, m.Failed):
            raise RaySystemError(f"{type(request).__name__} failed: {reply.message}")
        return reply

    def ask_gcs(self, request: m.Request) -> Any:
        return self.call(self.gcs, request, self.config.gcs_server_request_timeout_seconds)

    # ---------------------------------------------------------- messages (reactor.Handler, locked)

    def received(self, connection: Connection, message: Any, payload: bytes) -> None:
        kind = type(message)
        if kind in senders.ORDERS and not senders.may_send(connection.role, kind, "core"):
            self._refuse(connection, message)
            return
        handler = self.handlers.get(kind)
        if handler is not None:
            handler(connection, message)
        elif isinstance(message, m.Request):
            text = f"A {self.mode} does not serve {kind.__name__}."
            connection.reply(message, m.Failed(kind="unknown_request", message=text))
        else:
            logger.warning("Dropped a %s from %r: nothing here takes it.", kind.__name__, connection.peer)

    def _make_handlers(self) -> dict[type, Callable[[Connection, Any], None]]:
        handlers: dict[type, Callable[[Connection, Any], None]] = {
            m.Hello: self._hello,
            m.AssignWorker: self._assigned,
            m.NodeChanged: lambda _, message: self._node_changed(message.info),
            m.Ping: lambda connection, message: connection.reply(message, m.Done()),
            m.DumpState: self._dump_state,
            m.Inquire: self._inquire,
            m.StorageTrouble: lambda _, message: self.gcs.storage_trouble(message.text),
            m.TaskDone: self.submitter.task_done,
            m.TasksReturned: self.submitter.tasks_returned,
            m.WorkerExited: lambda _, message: self.submitter.worker_exited(message),
            m.RevokeLease: lambda _, message: self.submitter.leases.revoked(message.lease_id),
            m.CancelRemoteTask: lambda _, message: self.cancellation.remote(message),
            m.GeneratorItem: lambda _, message: self.streams.item(message),
            m.ActorChanged: lambda _, message: self.actors.changed(message.info),
            m.GroupChanged: lambda _, message: self.groups.changed(message.info.group_id, message.info.state),
            m.GetObjects: self.lending.serve,
            m.ObjectValues: self._object_values,
            m.AddBorrower: self.lending.register_borrower,
            m.RemoveBorrower: lambda _, message: self.lending.returned(message),
            m.AddLocation: lambda _, message: self.remote.received(message),
            m.ObjectLost: lambda _, message: self.remote.received(message),
            m.ProposeSpill: self._propose_spill,
            m.SlabSpaceFreed: self._slab_space_freed,
        }
        if self.executor is not None:
            calls = (m.PushTask, m.TaskTemplate, m.GeneratorConsumed, m.ConstructActor, m.ExitWorker, m.RetireWorker)
            handlers |= dict.fromkeys(calls, self.executor.received)
            handlers[m.CancelTask] = lambda _, message: self.executor.cancel(message)
            handlers[m.ExpireTask] = self.executor.expire
        return handlers

    def _hello(self, connection: Connection, hello: m.Hello) -> None:
        connection.peer = hello.address or hello.role
        if hello.address is not None:
            self._peers.setdefault(hello.worker_id, connection)

    def _assigned(self, _: Connection, message: m.AssignWorker) -> None:
        self.job_id = message.job_id
        self.runtime_env = message.runtime_env
        self.assignment.apply(message)
        self.groups.assigned(message)
        self.priority = message.priority
        self.hands_down = self.groups.captured is not None or message.priority != 0

    def _object_values(self, _: Connection, message: m.ObjectValues) -> None:
        for key, value in zip(message.object_ids, message.values, strict=True):
            self.refs.resolve(key, value)

    def _propose_spill(self, connection: Connection, request: m.ProposeSpill) -> None:
        connection.reply(request, m.SpillVotes(refused=self.values.viewed(request.object_ids)))

    def _slab_space_freed(self, _: Connection, message: m.SlabSpaceFreed) -> None:
        for offset in message.offsets:
            self.values.free_space(offset)

    def _inquire(self, connection: Connection, request: m.Inquire) -> None:
        connection.reply(request, m.Findings(found=self.inquiry.findings(request.subject)))

    def _dump_state(self, connection: Connection, request: m.DumpState) -> None:
        running = self.executor.invoker.running if self.executor is not None else {}
        connection.reply(request, m.StateDump(blobs=self.task_log.dump(request.what, running)))

    def _refuse(self, connection: Connection, message: Any) -> None:
        text = senders.refusal(connection.role, type(message), "core")
        logger.warning("Refused a message from %r: %s", connection.peer, text)
        if isinstance(message, m.Request):
            connection.reply(message, m.Failed(kind="forbidden", message=text))

    def closed(self, connection: Connection, reason: str) -> None:
        if connection is self.raylet and self.mode == "worker":
            os._exit(1)  # the node is gone, and this process is part of it
        if isinstance(connection.peer, GcsClient):
            connection.peer.lost(connection, reason)
        elif isinstance(connection.peer, tuple):
            self.submitter.leases.raylet_lost(connection.peer[1], connection)
        if self.executor is not None:
            self.executor.connection_lost(connection)
        if isinstance(connection.peer, m.Address):
            if self._peers.get(connection.peer.worker_id) is connection:
                del self._peers[connection.peer.worker_id]
            self.submitter.connection_lost(connection)
            self.actors.connection_lost(connection)
            self.lending.peer_gone(connection.peer.worker_id)

    # ---------------------------------------------------------- tasks

    def template(self, function: Any, options: TaskOptions) -> Template:
        """What calls of `function` with `options` have in common; made once by the public face."""
        key, blob = self.exports.export(function, "remote function")
        template = Template(options, key, blob, self.job_id, self.namespace, self.code_paths)
        template.message.logging = self.logging
        template.message.detached_actors = self.detached_actors
        template.message.keeps_lineage = self.keeps_lineage
        return template

    def exported(self, key: str) -> bytes:
        """The pickle of a large function or class. Raises RaySystemError when its job did not export it."""
        blob: bytes | None = self.ask_gcs(m.KvGet(namespace="fun", key=key.encode())).value
        if blob is None:
            raise RaySystemError(f"The key-value table of the cluster has no function {key}.")
        return blob

    def use_job(self, told: m.TaskTemplate | ActorRecipe) -> None:
        """Do as the driver wants it in its job; in a worker, before it unpickles the job's code."""
        if self.mode == "worker":
            os.environ["RAY_JOB_ID"] = self.job_id.hex()
        self._use_code_paths(told.code_paths)
        self.use_logging(told.logging)
        self.detached_actors, self.keeps_lineage = told.detached_actors, told.keeps_lineage

    def use_logging(self, settings: str) -> None:
        """Log as the driver wants it in its job (see job_logging); "" for no wish."""
        if settings != self.logging:
            from ray._core.worker import job_logging

            self.logging = settings
            job_logging.set_up(settings)

    def _use_code_paths(self, paths: list[str]) -> None:
        """Import from where the driver does."""
        if paths != self.code_paths:
            sys.path[:0] = [path for path in paths if path not in sys.path]
            self.code_paths = paths

    def submit(self, template: Template, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Start a task: a list of its refs, or the generator of a streaming task.

        Raises what the pickler raises for arguments that cannot be pickled.
        """
        packed = self.submitter.pack(args, kwargs)
        if self.hands_down:
            template = template.inheriting(self.groups.captured, self.priority)
        return self.submitter.submit(template, self._ids.task_id(NO_ACTOR_PREFIX + self.job_id), packed)

    def new_task_id(self, actor_id: bytes) -> bytes:
        """For a call of an actor's method."""
        return self._ids.task_id(actor_id)


def _entrypoint() -> str:
    """How this process was started, as one line; marked where a person types."""
    prefix = "(interactive_shell) " if hasattr(sys, "ps1") else ""
    return prefix + " ".join([sys.executable, *sys.argv])


def _code_paths() -> list[str]:
    """The directory of the driver's script, if it imports from there (`python -m` does not), and the working one."""
    script = os.path.dirname(os.path.realpath(sys.argv[0])) if sys.argv and sys.argv[0] else ""
    here = os.getcwd()
    return [path for path in dict.fromkeys((script, here)) if path in sys.path or path == here]


def connect_driver(
    raylet_path: str,
    namespace: str,
    upload_env: Callable[[CoreWorker], str] = lambda core: "",
    metadata: dict[str, str] | None = None,
) -> CoreWorker:
    """Make this process a driver of the node whose raylet listens at `raylet_path`.

    Args:
        upload_env: makes the job's runtime environment available to the cluster and returns its JSON.
        metadata: of the job, as its submitter gave it.
    """
    core = CoreWorker("driver")
    core.handlers[m.CollectGarbage] = garbage.collect
    core.connect(raylet_path, os.urandom(28))
    core.namespace = namespace
    try:
        runtime_env = upload_env(core)
        if '"working_dir"' not in runtime_env:  # else workers have their code from there, as on any other machine
            core.code_paths = _code_paths()
        core.register_job(namespace, _entrypoint(), runtime_env, metadata)
    except BaseException:
        core.shutdown()
        raise
    object_ref._core = core
    return core
