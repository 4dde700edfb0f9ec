"""gcs_server: the cluster's tables behind a socket.

Floor: gcs, shell. `python -m ray._core.gcs.server --listen-fd N --session-dir D --config JSON --ready-fd N`
Run by node.services. Never unpickles anything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from random import Random
from typing import Any

from ray._core.common import config as configuration
from ray._core.common import messages as m
from ray._core.common import service_logging
from ray._core.common.packages import SCHEME
from ray._core.common.policy import Knobs
from ray._core.gcs.actor_service import ActorService
from ray._core.gcs.core_connections import CoreConnections
from ray._core.gcs.group_service import GroupService
from ray._core.gcs.inquiry import InquiryService
from ray._core.gcs.job_service import JobService
from ray._core.gcs.journal import Journal
from ray._core.gcs.kv_service import KvService
from ray._core.gcs.log_relay import LogRelay
from ray._core.gcs.node_manager import NodeManager
from ray._core.gcs.package_service import PackageService
from ray._core.gcs.publisher import Publisher
from ray._core.gcs.recovery import Recovery
from ray._core.gcs.state_service import StateService
from ray._core.gcs.storage import Storage, open_storage
from ray._core.wire import aio, auth
from ray._version import VERSION

logger = logging.getLogger(__name__)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class GcsServer:
    """Messages in, table changes, answers and publications out.

    Args: now_ms: the clock of the records, since the epoch. rng: breaks ties between nodes. Both are the simulator's
    where that runs this server; timers and connections are the event loop's.
    """

    def __init__(
        self,
        session_dir: str,
        config: configuration.Config,
        storage: Storage | None = None,
        now_ms: Callable[[], int] = _now_ms,
        rng: Random | None = None,
    ) -> None:
        self.session_name = os.path.basename(session_dir)
        self.config = config
        self.now_ms = now_ms
        self.journal = Journal(storage)
        self._gate = None if storage is None else self.journal.passes
        self.publisher = Publisher()
        self.kv = KvService(self.journal)
        self.kv.table.put("session", b"cluster", _describe(session_dir, config), True)
        self.jobs = JobService(self.publisher, self.journal, now_ms, lambda: (self.session_name, self.config.encode()))
        self.recovery = Recovery(set(), set(), set())
        self.cores = CoreConnections()
        self.nodes = NodeManager(self)
        nodes, raylets, knobs = self.nodes.table, self.nodes.raylets, Knobs.of(config)
        self.actors = ActorService(nodes, raylets, self.publisher, self.journal, knobs, now_ms, rng or Random())
        self.groups = GroupService(nodes, raylets, self.publisher, self.journal, now_ms)
        self.packages = PackageService(
            lambda key: [*self.kv.delete("", key), *self.kv.delete("", key + b"#", by_prefix=True)],
            lambda prefix: self.kv.delete("fun", prefix, by_prefix=True),
            lambda actor_id: self.actors.table.spec(actor_id).placement.runtime_env,
            self.jobs.living,
        )
        self.log_relay = LogRelay(self.publisher, nodes)
        self.state = StateService(raylets, self.log_relay, config.task_events_max_num_task_in_gcs)
        self._introduce()
        self._handlers = self._make_handlers()

    def _introduce(self) -> None:
        """Services hear of each other's events."""
        self.kv.on_put = self.packages.uploaded
        for channel in ("job", "actor"):
            self.publisher.listen(channel, self.packages.changed)
        self.jobs.on_end = self.groups.job_finished
        self.actors.on_death = self.groups.actor_died
        self.groups.on_removal = self.actors.group_removed
        self.groups.has_job_ended = self.jobs.has_ended
        self.groups.has_actor_died = self.actors.table.has_died

    def _make_handlers(self) -> dict[type, Callable[[aio.Connection, Any], None]]:
        return {
            m.Hello: self._hello,
            m.Ping: lambda connection, request: connection.reply(request),
            **self.nodes.handlers,
            m.Subscribe: self._subscribe,
            m.Unsubscribe: lambda c, r: self.publisher.unsubscribe(c, r.channel, r.key),
            m.LogLines: lambda _, message: self.log_relay.lines(message),
            m.ErrorEvent: lambda _, message: self.log_relay.event(message),
            m.FlushLogs: self.log_relay.flush,
            m.ListLogs: self.log_relay.forward,
            m.ReadLog: self.log_relay.forward,
            m.TaskEvents: lambda _, message: self.state.task_events(message),
            m.DumpState: self.state.dump,
            m.Inquire: InquiryService(self).inquire,
            m.CollectGarbage: lambda _, message: self._collect_garbage(),
            **self.jobs.handlers(),
            **self.kv.handlers(),
            **self.actors.handlers(),
            **self.packages.handlers(),
            **self.groups.handlers(),
        }

    async def listen(self, token: bytes, sock: socket.socket) -> asyncio.Server:
        """Serve on a socket that is bound. What is sent passes the journal's gate."""

        def connect() -> aio.Connection:
            return aio.Connection(self, token, is_server=True, gate=self._gate)

        return await asyncio.get_running_loop().create_server(connect, sock=sock, backlog=1024, **aio.server_tls())

    # ---------------------------------------------------------- aio.Handler

    def connected(self, connection: aio.Connection) -> None:
        """Nothing is known of the peer before its Hello."""

    def received(self, connection: aio.Connection, message: Any, payload: bytes) -> None:
        aio.dispatch(self._handlers, connection, message, "The GCS")

    def closed(self, connection: aio.Connection) -> None:
        is_end = self.cores.closed(connection)
        self.publisher.gone(connection)
        self.log_relay.requester_gone(connection)
        self.kv.waiting.gone(connection)
        self.groups.waiting.gone(connection)
        match connection.peer:
            case ("node", bytes(node_id)):
                self.nodes.connection_lost(node_id, connection)
            case ("job", bytes(job_id), bytes(worker_id)):
                if self.jobs.driver_gone(job_id, connection):
                    self.actors.owner_died(worker_id)
            case ("worker", bytes(worker_id)) if is_end:
                self.actors.owner_died(worker_id)
            case ("agent", bytes(node_id)):
                self.log_relay.agent_gone(node_id, connection)

    def node_died(self, node_id: bytes) -> None:
        """Its drivers and workers end with it; a machine that lost its power closes none of their connections."""
        for connection in self.cores.of_node(node_id):
            connection.abort("its node has died")

    # ---------------------------------------------------------- handlers

    def _hello(self, connection: aio.Connection, hello: m.Hello) -> None:
        if hello.protocol != m.PROTOCOL:
            connection.close(f"The peer speaks protocol {hello.protocol}, this cluster {m.PROTOCOL}.")
        elif hello.role in ("worker", "driver"):
            connection.peer = ("worker", hello.worker_id)
            self.cores.opened(connection, hello.worker_id, hello.node_id)
            self.recovery.owner_back(hello.worker_id)
        elif hello.role == "agent":
            connection.peer = ("agent", hello.node_id)
            self.log_relay.agent_connected(hello.node_id, connection)

    def _subscribe(self, connection: aio.Connection, request: m.Subscribe) -> None:
        self.publisher.subscribe(connection, request.channel, request.key)
        connection.reply(request)
        self.log_relay.subscribed(connection, request.channel, request.key)
        if request.channel == "actor" and (info := self.actors.table.get(request.key)) is not None:
            connection.send(m.ActorChanged(info))
        if request.channel == "group" and (group := self.groups.table.get(request.key)) is not None:
            connection.send(m.GroupChanged(group))
        self.nodes.tell_all(connection, request.channel)

    def _collect_garbage(self) -> None:
        for raylet in self.nodes.raylets.values():
            raylet.send(m.CollectGarbage())

    # ---------------------------------------------------------- after a restart

    def restore(self) -> None:
        """Take up what an earlier GCS wrote, and wait for those who lived then."""
        self.kv.restore()
        self.jobs.restore()
        self.nodes.restore()
        self.actors.restore()
        keys = self.kv.table.keys("", SCHEME.encode())
        self.packages.restore(keys, self.jobs.jobs.values(), self.actors.table.infos())
        self.groups.restore()
        for job_id in set(self.jobs.jobs) - self.jobs.living():
            self.groups.job_finished(job_id)
        for actor in self.actors.table.infos():
            if actor.state == "DEAD":
                self.groups.actor_died(actor.actor_id)
        living = {info.node_id for info in self.nodes.table.infos() if info.state == "ALIVE"}
        self.recovery = Recovery(living, self.jobs.living(), self.actors.table.owners())
        if not living:
            self._resume()
        give_up_s = self.config.gcs_rpc_server_reconnect_timeout_s
        asyncio.get_running_loop().call_later(give_up_s, self._give_up_missing)

    def node_is_back(self, node_id: bytes) -> None:
        """A raylet has registered."""
        if self.recovery.node_back(node_id):
            self._resume()

    def _resume(self) -> None:
        self.groups.resume()
        self.actors.resume()

    def _give_up_missing(self) -> None:
        """Who is not back by now is dead."""
        missing = self.recovery
        text = (
            f"It did not come back within {self.config.gcs_rpc_server_reconnect_timeout_s} s of a restart of the GCS."
        )
        for node_id in list(missing.nodes):
            self.nodes.died(node_id, "UNEXPECTED_TERMINATION", text)
        for job_id in missing.jobs:
            if not self.jobs.has_driver(job_id):
                self.jobs.end(job_id)
        for worker_id in missing.owners:
            self.actors.owner_died(worker_id)
        if self.actors.holds_placing:
            self._resume()


def _describe(session_dir: str, config: configuration.Config) -> bytes:
    """What whoever joins asks first (see node.membership)."""
    facts = {
        "session_name": os.path.basename(session_dir),
        "session_dir": session_dir,
        "config": config.encode(),
        "version": VERSION,
        "python": ".".join(map(str, sys.version_info[:2])),
    }
    return json.dumps(facts).encode()


async def _serve(args: argparse.Namespace) -> None:
    config = configuration.load(args.config)
    server = GcsServer(args.session_dir, config, open_storage(args.storage, config.external_storage_namespace))
    server.restore()
    token = auth.load_token(config.enable_token_auth)
    loop = asyncio.get_running_loop()
    sock = socket.socket(fileno=args.listen_fd)
    listening = await server.listen(token, sock)
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    os.write(args.ready_fd, json.dumps({"port": sock.getsockname()[1]}).encode() + b"\n")
    os.close(args.ready_fd)
    await stop.wait()
    listening.close()
    await server.journal.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="gcs_server", description="The control plane of a pure-ray cluster.")
    parser.add_argument("--listen-fd", type=int, required=True, help="inherited socket that is bound and listens")
    parser.add_argument("--session-dir", required=True, help="of the head")
    parser.add_argument("--storage", default="memory", help="memory, sqlite:PATH, or redis (by RAY_REDIS_ADDRESS)")
    parser.add_argument("--config", default="", help="JSON of the cluster's settings")
    parser.add_argument("--ready-fd", type=int, required=True, help="pipe on which to say that it serves")
    service_logging.set_up("gcs_server")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
