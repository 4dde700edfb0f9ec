"""raylet: leases, workers and shared memory of one node, behind sockets.

Floor: raylet, shell. Its process is `raylet.main`. Never unpickles anything.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from ray._core.common import config as configuration
from ray._core.common import log_markers
from ray._core.common import messages as m
from ray._core.common.resources import Resources, to_fixed
from ray._core.raylet.actor_host import ActorHost
from ray._core.raylet.agent_process import AgentProcess
from ray._core.raylet.bundles import BundleManager
from ray._core.raylet.departure import Departure
from ray._core.raylet.env_link import EnvLink
from ray._core.raylet.environments import ExecLaunch, launch_of
from ray._core.raylet.exit_report import unexpected_exit
from ray._core.raylet.garbage import GarbageCollection
from ray._core.raylet.gcs_watch import GcsWatch
from ray._core.raylet.inquiry import InquiryService
from ray._core.raylet.job_environments import JobEnvironments
from ray._core.raylet.leasing import LeaseManager
from ray._core.raylet.machine import Machine
from ray._core.raylet.memory_monitor import MemoryMonitor
from ray._core.raylet.metrics_server import MetricsServer
from ray._core.raylet.object_manager import ObjectManager
from ray._core.raylet.on_demand import OnDemand
from ray._core.raylet.state_dump import StateDumper
from ray._core.raylet.workers import Worker, WorkerPool
from ray._core.wire import aio, auth
from ray._core.wire.link import Link
from ray._core.wire.owner_watch import end_with_owner

logger = logging.getLogger(__name__)
LEAVE_TIMEOUT_S = 1.0
"""A GCS that does not answer a node's goodbye by then finds out for itself."""
DASHBOARD = "ray.dashboard.dashboard"
START_ATTEMPTS = 3
"""So many workers of one environment may end before they register; then the environment counts as broken."""
FORK_RETRY_S = 1.0
WRAPPER_TIME_S = 60.0
"""A program that had a worker inside it may go on for so long."""
LAST_WORDS_S = 1.0
"""How long a dead worker's connection may stay open before its death is taken as told."""


class Raylet:
    """Connections, workers and the life of the node; `leases` and `objects` are managed by objects of their own."""

    def __init__(self, settings: dict[str, Any], machine: Machine) -> None:
        self.settings = settings
        self.machine = machine
        self.config = configuration.load(settings["config"])
        self.node_id = bytes.fromhex(settings["node_id"])
        self.node: m.NodeInfo
        self.total: Resources = to_fixed(settings["resources"])
        self.draining = False
        self._departure = Departure(self)
        self.pool = WorkerPool()
        self.leases = LeaseManager(self, self.total)
        self._dashboard = self._make_dashboard()
        self.environments = EnvLink(self.config.start_timeout_s)
        self._job_environments = JobEnvironments(self.environments)
        self._start_failures: dict[str, int] = {}
        self._wrappers: dict[int, asyncio.TimerHandle] = {}
        """Programs whose worker has ended, by process id: when they have to end, too."""
        self.actors = ActorHost(self)
        self.bundles = BundleManager(self)
        self.objects = ObjectManager(self, settings["object_store_memory"])
        self.stop = asyncio.Event()
        self.path: str = settings["raylet_path"]
        self.arena_path: str = settings["arena_path"]
        self.gcs: Link
        self._gcs_watch = GcsWatch(self)
        self._zygote: aio.Connection
        self.state = StateDumper(self)
        self._metrics, self._health = MetricsServer(self), MetricsServer(self)
        self.garbage = GarbageCollection(self)
        self._handlers: dict[type, Callable[[aio.Connection, Any], None]] = {
            m.Hello: self._hello,
            m.JobChanged: self._job_changed,
            m.RegisterWorker: self._register_worker,
            m.ChildExited: self._child_exited,
            m.WorkerExiting: self._worker_exiting,
            m.KillWorker: self._kill_worker,
            m.NodeChanged: self._node_changed,
            m.Ping: self._ping,
            m.SetDraining: self._set_draining,
            m.DumpState: self.state.dump,
            m.Inquire: InquiryService(self).inquire,
            **self.garbage.handlers,
            **self.leases.handlers,
            **self.objects.handlers,
            **self.actors.handlers(),
            **self.bundles.handlers,
        }

    # ---------------------------------------------------------- life

    async def start(self) -> None:
        """Create the arena, join the cluster, and listen."""
        self.objects.start(self.arena_path)
        self._zygote = await self.machine.connect_zygote(self)
        self._zygote.peer = self._zygote.role = "zygote"
        self._agent = AgentProcess(self._zygote, self.settings, self.config)
        await self.machine.listen(self)
        token = auth.load_token(self.config.enable_token_auth)
        settings = self.settings
        host, port = settings["node_ip"], settings["raylet_port"]
        bind_to = _bind_to(host)
        self._tcp, port = await aio.serve_tcp(self, bind_to, port, token)
        if settings["agent_port"] is not None:
            await self._health.start(bind_to, settings["agent_port"])
        self.node = m.NodeInfo(
            node_id=self.node_id,
            host=host,
            raylet_port=port,
            raylet_path=self.path,
            hostname=socket.gethostname(),
            name=settings["node_name"],
            is_head=settings["is_head"],
            labels={"ray.io/node-id": settings["node_id"], **settings["labels"]},
            arena_path=self.arena_path,
            session_dir=settings["session_dir"],
            total=self.total,
            pid=os.getpid(),
            metrics_port=await self._metrics.start(bind_to, settings["metrics_port"]),
            version=settings["version"],
            python=".".join(map(str, sys.version_info[:2])),
        )
        give_up_s = self.config.gcs_rpc_server_reconnect_timeout_s
        self.gcs = Link(self, settings["gcs_host"], settings["gcs_port"], token, self._join, give_up_s)
        await self.gcs.open(self.config.gcs_rpc_server_connect_timeout_s)
        self._gcs_watch.start()
        for _ in range(self.leases.soft_limit() if self.config.enable_worker_prestart else 0):
            self.fork(b"")
        self._agent.start()
        MemoryMonitor(self).start()
        self.garbage.start()
        if self._dashboard is not None:
            self._dashboard.start() if settings["dashboard"]["at_once"] else self._dashboard.wait()

    def _make_dashboard(self) -> OnDemand | None:
        """Of a head that has a port for it."""
        settings, dashboard = self.settings, self.settings.get("dashboard")
        if dashboard is None:
            return None
        command = ["-m", DASHBOARD, "--gcs-address", f"{settings['gcs_host']}:{settings['gcs_port']}"]
        command += ["--session-dir", settings["session_dir"], "--allowed-host", dashboard["host"]]
        return OnDemand(dashboard["fd"], command, f"{settings['log_dir']}/dashboard.log")

    async def _join(self, gcs: aio.Connection) -> None:
        """Make this node known to a GCS that it has just connected to, for the first time or again."""
        gcs.peer = gcs.role = "gcs"
        gcs.send(m.Hello(m.PROTOCOL, "raylet", node_id=self.node_id, pid=os.getpid()))
        await gcs.request(m.Subscribe(channel="job"))  # first: a job that ends from now on is told, or not listed below
        # Ends of actors first: one that is not listed below would be taken for an order that was lost, and repeated.
        self.gcs.resume(gcs)
        jobs_then = {worker.job_id for worker in self.pool.workers.values()} - {b""}
        joining = m.RegisterNode(info=self.node, hosted=self.actors.hosted(), bundles=self.bundles.held())
        asked_at_s = asyncio.get_running_loop().time()
        registered: m.NodeRegistered = await gcs.request(joining)
        self._gcs_watch.asked(asked_at_s)
        for job_id in jobs_then.difference(registered.living_jobs):
            self._job_ended(job_id)
        for channel in ("node", "resources"):
            await gcs.request(m.Subscribe(channel=channel))
        for group_id in self.leases.aside.watched_groups():
            await gcs.request(m.Subscribe(channel="group", key=group_id))
        if self._dashboard is not None:
            url = self.settings["dashboard"]["url"].encode()
            await gcs.request(m.KvPut(namespace="dashboard", key=b"dashboard", value=url))
        self.leases.reporter.report_anew()

    async def leave(self) -> None:
        """Tell the GCS that the node ends by intent; it would otherwise count as a crash."""
        departure = self._departure
        goodbye = m.UnregisterNode(node_id=self.node_id, reason=departure.reason, message=departure.message)
        try:
            await asyncio.wait_for(self.gcs.request(goodbye), LEAVE_TIMEOUT_S)
        except (TimeoutError, aio.ConnectionLost, aio.RequestFailed) as error:
            logger.info("The node ends without a word to the GCS: %s", error)

    def close(self) -> None:
        """End the workers and the zygote, and give the shared memory and what was spilled back."""
        for worker in self.pool.workers.values():
            for pid in {worker.pid, worker.child_pid}:
                self.machine.kill(pid)
        self.machine.kill(self._agent.pid)
        self._gcs_watch.close()
        self._departure.close()
        self.environments.close()
        self._metrics.close()
        self._health.close()
        if self._dashboard is not None:
            self._dashboard.close()
        self.objects.close()
        self.machine.close(self.arena_path, self.path)

    # ---------------------------------------------------------- aio.Handler

    def connected(self, connection: aio.Connection) -> None:
        """Nothing is known of the peer before its Hello."""

    def received(self, connection: aio.Connection, message: Any, payload: bytes) -> None:
        aio.dispatch(self._handlers, connection, message, "raylet")

    def closed(self, connection: aio.Connection) -> None:
        if connection.peer in ("zygote", "gcs"):
            logger.error("The raylet ends: its connection to the %s is gone.", connection.peer)
            self.stop.set()
            return
        if connection.peer is self.environments:
            self.environments.agent_lost()
        core = self.state.cores.pop(connection, None)
        if core is not None and core.is_driver:
            self.state.driver_gone(core)
        self.leases.owner_gone(connection)
        if isinstance(connection.peer, Worker):
            if connection.peer.status is None:
                self._connection_gone(connection.peer)
            else:
                self._worker_gone(connection.peer)
        self.objects.connection_lost(connection)

    # ---------------------------------------------------------- workers

    def _hello(self, connection: aio.Connection, hello: m.Hello) -> None:
        if hello.role == "worker" and hello.node_id in (b"", self.node_id):
            worker = self.pool.workers.get(hello.worker_id)
            if worker is None:
                connection.close("This worker is not of this node.")
            else:
                worker.connection, connection.peer = connection, worker
                worker.pid = connection.peer_pid() or worker.pid
        elif hello.role == "bulk":
            self.objects.giving.serve_stream(connection)
        elif hello.role == "runtime_env_agent":
            self.environments.agent_connected(connection)

    def _register_worker(self, connection: aio.Connection, request: m.RegisterWorker) -> None:
        reply = m.WorkerRegistered(
            node=self.node,
            gcs_host=self.settings["gcs_host"],
            gcs_port=self.settings["gcs_port"],
            session_name=Path(self.settings["session_dir"]).name,
            config=self.config.encode(),
            arena_size=self.objects.extents.size,
            overflow_path=self.objects.overflow_path,
            overflow_size=self.objects.overflow_size,
        )
        connection.reply(request, reply)
        self.state.cores[connection] = request
        self.objects.process_joined(connection, request.address.worker_id)
        worker = connection.peer
        if isinstance(worker, Worker) and request.ready:
            worker.start_time_ms = time.time_ns() // 1_000_000
            self.pool.registered(worker, msgspec.structs.replace(request.address, node_id=self.node_id))
            self._start_failures.pop(worker.runtime_env, None)
            self.pool.put_idle(worker, asyncio.get_running_loop().time())
            self.leases.schedule()

    def fork(self, job_id: bytes, runtime_env: str = "") -> None:
        """Start a worker. Its environment must be held by the caller: by a request that waits for the worker."""
        worker_id = self.machine.rng.randbytes(28)
        worker = Worker(worker_id, launch_time_ms=time.time_ns() // 1_000_000)
        if runtime_env:
            worker.job_id, worker.runtime_env = job_id, runtime_env
            self.environments.table.hold(runtime_env)
            asyncio.get_running_loop().call_later(self.config.worker_register_timeout_seconds, self._give_up, worker)
        self.pool.add(worker)
        job = job_id or b"\xff" * 4
        log = f"{self.settings['log_dir']}/worker-{worker_id.hex()}-{job.hex()}-{{pid}}"
        env = {
            "RAY_RAYLET_SOCKET": self.path,
            "RAY_NODE_ID_HEX": self.node_id.hex(),
            "RAY_NODE_IP": self.node.host,
            "RAY_SESSION_DIR": self.settings["session_dir"],
        }
        worker.log = log
        request = m.Fork(worker_id, job_id, env, "", [], f"{log}.out", f"{log}.err")
        request.log_header = log_markers.header(self.node_id)
        launch = launch_of(self.environments.table.context(runtime_env), sys.executable)
        if isinstance(launch, ExecLaunch):
            request.role, request.argv = "exec", [f"--serialized-runtime-env-context={launch.context}"]
        else:
            request.env_vars, request.cwd = launch.env, launch.cwd
        self._zygote.request(request).add_done_callback(partial(self._forked, worker))

    def _forked(self, worker: Worker, reply: asyncio.Future[m.Forked]) -> None:
        problem = reply.exception()
        if problem is None:
            self.pool.forked(worker, reply.result().pid)
            return
        logger.error("A worker could not be forked, which is tried again in %s s: %s", FORK_RETRY_S, problem)
        self.pool.remove(worker.worker_id)
        self.environments.drop(worker.runtime_env)
        asyncio.get_running_loop().call_later(FORK_RETRY_S, self.leases.schedule)

    def _worker_exiting(self, connection: aio.Connection, message: m.WorkerExiting) -> None:
        if isinstance(connection.peer, Worker):
            connection.peer.exit_kind, connection.peer.exit_note = message.kind, message.cause

    def _connection_gone(self, worker: Worker) -> None:
        """It ends, or has ended; what it ran in may have work left, such as a profile to write, but not for ever."""
        self.machine.kill(worker.pid)
        if worker.child_pid not in (0, worker.pid):
            loop = asyncio.get_running_loop()
            loop.call_later(LAST_WORDS_S, self._outlived, worker)
            self._wrappers[worker.child_pid] = loop.call_later(WRAPPER_TIME_S, self.machine.kill, worker.child_pid)

    def _outlived(self, worker: Worker) -> None:
        """Nobody waits for what a worker ran in."""
        if worker.status is None:
            self._worker_gone(worker)

    def _child_exited(self, _: aio.Connection, message: m.ChildExited) -> None:
        wrapper = self._wrappers.pop(message.pid, None)
        if wrapper is not None:
            wrapper.cancel()
        if self._agent.exited(message.pid, _describe_exit(message.status)):
            return
        worker = self.pool.by_pid(message.pid)
        if worker is None:
            return
        worker.status = message.status
        if worker.connection is None or worker.connection.is_closed:
            self._worker_gone(worker)
        else:  # what it said last may still be on its way; a child of its own may keep the socket open
            asyncio.get_running_loop().call_later(LAST_WORDS_S, self._worker_gone, worker)

    def _worker_gone(self, worker: Worker) -> None:
        """The process has ended, as far as anybody waits for it, and its connection is read to the end."""
        if self.pool.remove(worker.worker_id) is None:
            return
        kind, cause = worker.exit_kind or "WORKER_DIED", worker.exit_note or _describe_exit(worker.status)
        if not worker.exit_kind and not worker.exit_note:
            event = unexpected_exit(worker, self.node, cause)
            if event is not None:
                self.gcs.send(event)
        self.state.worker_gone(worker, cause)
        if worker.owner is not None:
            worker.owner.send(m.WorkerExited(worker.worker_id, kind, cause))
        self.actors.exited(worker, kind, cause)
        self.environments.drop(worker.runtime_env)
        if worker.address is None and worker.runtime_env:
            self._start_failed(worker, cause)
        self.leases.scheduler.release(worker.lease_id)
        self.leases.schedule()

    def _start_failed(self, worker: Worker, cause: str) -> None:
        """Workers of an environment that end again and again before they register: whoever waits for one is told."""
        failures = self._start_failures.pop(worker.runtime_env, 0) + 1
        if worker.exit_kind == "RUNTIME_ENV":
            self.leases.env_failed(worker.runtime_env, cause)
        elif failures < START_ATTEMPTS:
            self._start_failures[worker.runtime_env] = failures
        else:
            path = f"{worker.log.replace('{pid}', str(worker.child_pid))}.err"
            text = f"A worker of this environment ended at its start, {failures} times. {cause}"
            self.leases.env_failed(worker.runtime_env, f"{text} The last lines of {path}:\n{_last_lines(path)}")

    def _give_up(self, worker: Worker) -> None:
        """A worker of an environment that has not registered in all this time never will."""
        if worker.address is None and worker.worker_id in self.pool.workers:
            self.kill(worker, f"It did not register within {self.config.worker_register_timeout_seconds} s.")

    def kill(self, worker: Worker, note: str) -> None:
        """SIGKILL by intent, so no driver is warned; `note` becomes the cause of its death if there is none yet."""
        worker.exit_note, worker.is_ending = worker.exit_note or note, True
        self.machine.kill(worker.pid)

    def _kill_worker(self, _: aio.Connection, message: m.KillWorker) -> None:
        worker = self.pool.workers.get(message.worker_id)
        if worker is not None:
            self.kill(worker, message.cause)

    def _job_changed(self, _: aio.Connection, message: m.JobChanged) -> None:
        info = message.info
        if not info.is_dead:
            self._job_environments.started(info)
        else:
            self._job_ended(info.job_id)

    def _job_ended(self, job_id: bytes) -> None:
        self._job_environments.ended(job_id)
        self.leases.aside.job_ended(job_id)
        for worker in list(self.pool.workers.values()):
            is_detached = worker.hosted is not None and worker.hosted.spec.detached
            if worker.job_id == job_id and not is_detached:
                self.kill(worker, "Its job has ended.")

    def _ping(self, connection: aio.Connection, request: m.Ping) -> None:
        """The answer comes behind a report of the resources as they are now."""
        self._gcs_watch.pinged(request.missed)
        self.leases.reporter.report_now()
        connection.reply(request)

    def _set_draining(self, _: aio.Connection, order: m.SetDraining) -> None:
        self.draining = True
        self.leases.reconsider()
        self._departure.begin(order)

    def _node_changed(self, _: aio.Connection, message: m.NodeChanged) -> None:
        info = message.info
        if info.state != "DEAD":
            return
        if info.node_id == self.node_id and not self.stop.is_set():
            logger.error("The raylet ends: the cluster has declared this node dead. %s", info.death_message)
            self.stop.set()
            return
        self.leases.view.remove(info.node_id)
        self.objects.node_died(info.node_id)
        self.leases.reconsider()


def _last_lines(path: str, count: int = 20) -> str:
    try:
        return "\n".join(Path(path).read_text(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return "(there is no such file)"


def _bind_to(host: str) -> str:
    """All of this machine's addresses of that family, or loopback alone. (Both families would get different ports.)"""
    address = ipaddress.ip_address(host)
    if address.is_loopback:
        return host
    return "0.0.0.0" if address.version == 4 else "::"


def _describe_exit(status: int | None) -> str:
    if status is None:
        return "Worker unexpectedly exits: its connection was closed."
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        if name == "SIGTERM":
            return f"Worker exits unexpectedly by a signal. The process receives a {name}."
        what = f"It was killed by {name}."
        if name == "SIGKILL":
            what += " Common causes: the kernel's OOM killer (see dmesg), or `ray stop --force`."
    else:
        what = f"Its process ended with an exit code {os.waitstatus_to_exitcode(status)}."
    return f"Worker unexpectedly exits with a connection error code 2. End of file. {what}"


async def serve(settings: dict[str, Any], machine: Machine, ready_fd: int) -> None:
    """A raylet from its start to its end, which a signal brings. Says on `ready_fd` that it serves."""
    raylet = Raylet(settings, machine)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, raylet.stop.set)
    end_with_owner(raylet.stop.set)
    try:
        await raylet.start()
        os.write(ready_fd, json.dumps({"raylet_path": raylet.path, "arena_path": raylet.arena_path}).encode() + b"\n")
        os.close(ready_fd)
        await raylet.stop.wait()
        await raylet.leave()
    finally:
        raylet.close()
