"""raylet: leases, workers and shared memory of one node, behind sockets.

Floor: raylet, shell. `python -m ray._core.raylet.server --settings JSON --ready-fd N`, run by node.services.
Never unpickles anything.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import itertools
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ray._core.common import config as configuration
from ray._core.common import log_markers
from ray._core.common import messages as m
from ray._core.common.resources import UNIT, Resources, describe, to_fixed
from ray._core.raylet.actor_host import ActorHost, Hosted
from ray._core.raylet.agent_process import AgentProcess
from ray._core.raylet.extents import ExtentAllocator
from ray._core.raylet.scheduler import Scheduler, Waiting
from ray._core.raylet.workers import Worker, WorkerPool
from ray._core.wire import aio, auth

logger = logging.getLogger(__name__)
FORKS_AT_ONCE = 4
"""Workers that start at the same time, at least; more would only share the same cores."""
LAST_WORDS_S = 1.0
"""How long a dead worker's connection may stay open before its death is taken as told."""


class Raylet:
    """The shell around scheduler, worker pool and extents."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.config = configuration.load(settings["config"])
        self.node_id = bytes.fromhex(settings["node_id"])
        self.node: m.NodeInfo
        self.total: Resources = to_fixed(settings["resources"])
        self.scheduler = Scheduler(self.total)
        self.pool = WorkerPool()
        self.actors = ActorHost(self)
        self.extents = ExtentAllocator(settings["object_store_memory"])
        self.stop = asyncio.Event()
        self.path = f"{settings['sockets_dir']}/raylet"
        self.arena_path = f"{settings['arena_dir']}/ray-{settings['node_id'][:16]}.arena"
        self._gcs: aio.Connection
        self._zygote: aio.Connection
        self._lease_ids = itertools.count(1)
        self._report_version = 0
        self._reported: Any = None
        self._slabs: dict[int, aio.Connection | None] = {}
        self._objects: dict[bytes, tuple[int, aio.Connection | None]] = {}
        self._handlers: dict[type, Callable[[aio.Connection, Any], None]] = {
            m.Hello: self._hello,
            m.JobChanged: self._job_changed,
            m.RegisterWorker: self._register_worker,
            m.RequestLease: self._request_lease,
            m.CancelLease: self._cancel_lease,
            m.ReturnLease: self._return_lease,
            m.SetBlocked: self._set_blocked,
            m.ChildExited: self._child_exited,
            m.WorkerExiting: self._worker_exiting,
            m.KillWorker: self._kill_worker,
            m.AllocateSlab: self._allocate_slab,
            m.ReleaseSlab: lambda _, message: self._release_slab(message.offset),
            m.ObjectsSealed: self._objects_sealed,
            m.FreeObjects: self._free_objects,
            **self.actors.handlers(),
        }

    # ---------------------------------------------------------- life

    async def start(self) -> None:
        """Create the arena, start the zygote, join the cluster, and listen."""
        with open(self.arena_path, "xb") as file:
            os.chmod(self.arena_path, 0o600)
            file.truncate(self.extents.size)
        await self._start_zygote()
        await aio.serve_unix(self, self.path)
        token = auth.load_token(self.config.enable_token_auth)
        settings = self.settings
        host, port = settings["node_ip"], settings.get("raylet_port", 0)
        bind_to = host if ipaddress.ip_address(host).is_loopback else ""  # "": all of this machine's addresses
        self._tcp, port = await aio.serve_tcp(self, bind_to, port, token)
        self._gcs = await aio.connect_tcp(self, settings["gcs_host"], settings["gcs_port"], token)
        self._gcs.send(m.Hello(m.PROTOCOL, "raylet", node_id=self.node_id, pid=os.getpid()))
        self.node = m.NodeInfo(
            node_id=self.node_id,
            host=host,
            raylet_port=port,
            raylet_path=self.path,
            hostname=socket.gethostname(),
            name=settings.get("node_name") or host,
            is_head=settings["is_head"],
            labels=settings.get("labels", {}),
            arena_path=self.arena_path,
            session_dir=settings["session_dir"],
            total=self.total,
            pid=os.getpid(),
            version=settings["version"],
            python=".".join(map(str, sys.version_info[:2])),
        )
        await self._gcs.request(m.RegisterNode(info=self.node))
        await self._gcs.request(m.Subscribe(channel="job"))
        for _ in range(self._soft_limit()):
            self._fork(b"")
        self._agent.start()

    async def _start_zygote(self) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "ray.workers.default_worker", "--zygote-fd", str(theirs.fileno())]
        self._process = await asyncio.create_subprocess_exec(*command, pass_fds=[theirs.fileno()])
        theirs.close()
        self._zygote = await aio.connect_socket(self, ours)
        self._zygote.peer = "zygote"
        self._agent = AgentProcess(self._zygote, self.settings, self.config)

    def close(self) -> None:
        """End the workers and the zygote, and give the shared memory back."""
        for worker in self.pool.workers.values():
            _kill(worker.pid)
        _kill(self._agent.pid)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        for path in (self.arena_path, self.path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    # ---------------------------------------------------------- aio.Handler

    def connected(self, connection: aio.Connection) -> None:
        """Nothing is known of the peer before its Hello."""

    def received(self, connection: aio.Connection, message: Any, payload: bytes) -> None:
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(connection, message)
        elif isinstance(message, m.Request):
            connection.fail(message, "unknown_request", f"A raylet does not serve {type(message).__name__}.")
        else:
            logger.warning("Dropped a %s: a raylet does not take it.", type(message).__name__)

    def closed(self, connection: aio.Connection) -> None:
        if connection.peer == "zygote" or connection is getattr(self, "_gcs", None):
            logger.error("The raylet ends: its connection to the %s is gone.", connection.peer or "GCS")
            self.stop.set()
            return
        for waiting in self.scheduler.waiting():
            if isinstance(waiting.key, tuple) and waiting.key[0] is connection:
                self.scheduler.cancel(waiting.key)
        for worker in self.pool.of_owner(connection):
            _kill(worker.pid)  # children of an owner that has gone: nobody wants their results
        if isinstance(connection.peer, Worker):
            if connection.peer.status is None:
                _kill(connection.peer.pid)
            else:
                self._worker_gone(connection.peer)
        self._adopt_slabs(connection)

    # ---------------------------------------------------------- workers

    def _hello(self, connection: aio.Connection, hello: m.Hello) -> None:
        if hello.role == "worker":
            worker = self.pool.workers.get(hello.worker_id)
            if worker is None:
                connection.close("This worker is not of this node.")
            else:
                worker.connection, connection.peer = connection, worker

    def _register_worker(self, connection: aio.Connection, request: m.RegisterWorker) -> None:
        reply = m.WorkerRegistered(
            node=self.node,
            gcs_host=self.settings["gcs_host"],
            gcs_port=self.settings["gcs_port"],
            session_name=Path(self.settings["session_dir"]).name,
            config=self.config.encode(),
            arena_size=self.extents.size,
        )
        connection.reply(request, reply)
        worker = connection.peer
        if isinstance(worker, Worker):
            worker.address = request.address
            self.pool.put_idle(worker)
            self.schedule()

    def _fork(self, job_id: bytes) -> None:
        worker_id = os.urandom(28)
        self.pool.workers[worker_id] = worker = Worker(worker_id)
        job = job_id or b"\xff" * 4
        log = f"{self.settings['log_dir']}/worker-{worker_id.hex()}-{job.hex()}-{{pid}}"
        env = {
            "RAY_RAYLET_SOCKET": self.path,
            "RAY_NODE_ID_HEX": self.node_id.hex(),
            "RAY_SESSION_DIR": self.settings["session_dir"],
        }
        header = log_markers.header(self.node_id)
        request = m.Fork(worker_id, job_id, env, "", [], f"{log}.out", f"{log}.err", log_header=header)
        self._zygote.request(request).add_done_callback(partial(self._forked, worker))

    def _forked(self, worker: Worker, reply: asyncio.Future[m.Forked]) -> None:
        if reply.exception() is None:
            worker.pid = reply.result().pid
        else:
            self.pool.remove(worker.worker_id)

    def _worker_exiting(self, connection: aio.Connection, message: m.WorkerExiting) -> None:
        if isinstance(connection.peer, Worker):
            connection.peer.exit_kind, connection.peer.exit_note = message.kind, message.cause

    def _child_exited(self, _: aio.Connection, message: m.ChildExited) -> None:
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
        """The process has ended and its connection is read to the end."""
        if self.pool.remove(worker.worker_id) is None:
            return
        assert worker.status is not None
        kind, cause = worker.exit_kind or "WORKER_DIED", worker.exit_note or _describe_exit(worker.status)
        if worker.owner is not None:
            worker.owner.send(m.WorkerExited(worker.worker_id, kind, cause))
        self.actors.exited(worker, kind, cause)
        self.scheduler.release(worker.lease_id)
        self.schedule()

    def kill(self, worker: Worker, note: str) -> None:
        """SIGKILL; `note` becomes the cause of its death."""
        worker.exit_note = worker.exit_note or note
        _kill(worker.pid)

    def _kill_worker(self, _: aio.Connection, message: m.KillWorker) -> None:
        worker = self.pool.workers.get(message.worker_id)
        if worker is not None:
            self.kill(worker, message.cause)

    def _job_changed(self, _: aio.Connection, message: m.JobChanged) -> None:
        if message.info.is_dead:
            for worker in list(self.pool.workers.values()):
                is_detached = worker.hosted is not None and worker.hosted.spec.detached
                if worker.job_id == message.info.job_id and not is_detached:
                    _kill(worker.pid)

    def _soft_limit(self) -> int:
        limit = self.config.num_workers_soft_limit
        return limit if limit >= 0 else max(self.total.get("CPU", 0) // UNIT, 1)

    # ---------------------------------------------------------- leases

    def _request_lease(self, connection: aio.Connection, request: m.RequestLease) -> None:
        demand = {name: units for name, units in request.scheduling.resources.items() if units}
        short = self.scheduler.missing(demand)
        if short:
            text = f"{request.name} needs {describe(demand)}, and no node has that: {describe(short)} are missing."
            self._gcs.send(m.ErrorEvent(request.scheduling.job_id, "infeasible", text))
        self.scheduler.enqueue(Waiting((connection, request.rid), request.scheduling.job_id, demand))
        self.schedule()

    def schedule(self) -> None:
        """Grant while resources and workers last; fork what is missing; ask idle leases back for who waits."""
        while (worker := self._worker_for_next()) is not None:
            lease_id = next(self._lease_ids)
            granted = self.scheduler.next_grant(lease_id)
            if granted is None:
                self.pool.put_idle(worker)
                break
            worker.job_id, worker.lease_id = granted.job_id, lease_id
            worker.connection.send(m.AssignWorker(granted.job_id, {}, granted.demand, {}))
            if isinstance(granted.key, Hosted):
                self.actors.granted(granted.key, worker)
                continue
            assert isinstance(granted.key, tuple) and worker.address is not None
            connection, rid = granted.key
            worker.owner = connection
            connection.send(m.LeaseGranted(lease_id=lease_id, worker=worker.address, pid=worker.pid, rid=rid))
        waiting = self.scheduler.waiting()
        self._revoke_for({request.key[0] if isinstance(request.key, tuple) else self._gcs for request in waiting})
        for surplus in self.pool.surplus(self._soft_limit() if not waiting else 1 << 30):
            _kill(surplus.pid)
        self._report()

    def _revoke_for(self, who_waits: set[aio.Connection]) -> None:
        """Ask leases back from owners that keep others waiting; an owner's own requests revoke nothing of its own."""
        if not who_waits:
            return
        for worker in self.pool.workers.values():
            if worker.owner is not None and not worker.is_revoked and who_waits - {worker.owner}:
                worker.is_revoked = True
                worker.owner.send(m.RevokeLease(worker.lease_id))

    def _worker_for_next(self) -> Worker | None:
        """An idle worker for whoever is next; when there is none, one is forked and will call again."""
        request = self.scheduler.next_waiting()
        if request is None:
            return None
        worker = self.pool.take_idle(request.job_id)
        if worker is None:
            starting = sum(each.address is None for each in self.pool.workers.values())
            most = max(self._soft_limit(), FORKS_AT_ONCE)
            for _ in range(min(len(self.scheduler.waiting()), most) - starting):
                self._fork(request.job_id)
        return worker

    def _cancel_lease(self, connection: aio.Connection, message: m.CancelLease) -> None:
        if self.scheduler.cancel((connection, message.request_rid)):
            connection.send(m.Failed(kind="cancelled", message="The request was taken back.", rid=message.request_rid))

    def _return_lease(self, _: aio.Connection, message: m.ReturnLease) -> None:
        worker = self.pool.by_lease(message.lease_id)
        if worker is None:
            return
        self.scheduler.release(message.lease_id)
        if message.worker_broken:
            worker.owner = None
            _kill(worker.pid)
        else:
            self.pool.put_idle(worker)
        self.schedule()

    def _set_blocked(self, connection: aio.Connection, message: m.SetBlocked) -> None:
        if isinstance(connection.peer, Worker):
            self.scheduler.set_blocked(connection.peer.lease_id, message.blocked)
            self.schedule()

    def _report(self) -> None:
        waiting = self.scheduler.waiting()
        state = (dict(self.scheduler.available), len(waiting))
        if state == self._reported:
            return
        self._reported = state
        self._report_version += 1
        demands = [
            m.Demand(w.demand, 1, "waits for resources", w.job_id, bool(self.scheduler.missing(w.demand)))
            for w in waiting[:100]
        ]
        report = m.ReportResources(self.node_id, self._report_version, state[0], self.total, demands)
        self._gcs.send(report)

    # ---------------------------------------------------------- shared memory

    def _allocate_slab(self, connection: aio.Connection, request: m.AllocateSlab) -> None:
        extent = self.extents.allocate(request.size)
        if extent is None:
            text = f"{request.size} bytes do not fit: {self.extents.used} of {self.extents.size} are in use."
            connection.fail(request, "full", text)
            return
        self._slabs[extent[0]] = connection
        connection.reply(request, m.SlabGranted(offset=extent[0], size=extent[1]))

    def _release_slab(self, offset: int) -> None:
        if offset in self._slabs:
            del self._slabs[offset]
            self.extents.free(offset)

    def _objects_sealed(self, connection: aio.Connection, message: m.ObjectsSealed) -> None:
        for object_id, offset, _ in message.objects:
            self._objects[object_id] = (offset, connection)

    def _free_objects(self, _: aio.Connection, message: m.FreeObjects) -> None:
        for object_id in message.object_ids:
            found = self._objects.pop(object_id, None)
            if found is None:
                continue
            offset, holder = found
            if holder is not None:
                holder.send(m.SlabSpaceFreed([offset]))
            else:
                self._release_if_empty(self._slab_of(offset))

    def _adopt_slabs(self, gone: aio.Connection) -> None:
        """A process has ended: what it sealed stays for its owners, slabs with nothing in them go."""
        for object_id, (offset, holder) in self._objects.items():
            if holder is gone:
                self._objects[object_id] = (offset, None)
        for slab in [offset for offset, holder in self._slabs.items() if holder is gone]:
            self._slabs[slab] = None
            self._release_if_empty(slab)

    def _slab_of(self, offset: int) -> int:
        return max(slab for slab in self._slabs if slab <= offset)

    def _release_if_empty(self, slab: int) -> None:
        if not any(self._slab_of(offset) == slab for offset, _ in self._objects.values()):
            self._release_slab(slab)


def _kill(pid: int) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _describe_exit(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"The worker was killed by {signal.Signals(os.WTERMSIG(status)).name}."
    return f"The worker exited with code {os.waitstatus_to_exitcode(status)}."


async def _serve(settings: dict[str, Any], ready_fd: int) -> None:
    raylet = Raylet(settings)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, raylet.stop.set)
    try:
        await raylet.start()
        os.write(ready_fd, json.dumps({"raylet_path": raylet.path, "arena_path": raylet.arena_path}).encode() + b"\n")
        os.close(ready_fd)
        await raylet.stop.wait()
    finally:
        raylet.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="raylet", description="The local scheduler of a pure-ray node.")
    parser.add_argument("--settings", required=True, help="JSON of this node's settings")
    parser.add_argument("--ready-fd", type=int, required=True, help="pipe on which to say that it serves")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(_serve(json.loads(args.settings), args.ready_fd))


if __name__ == "__main__":
    main()
