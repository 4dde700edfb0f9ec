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
from ray._core.common.health import grace_s
from ray._core.common.packages import SCHEME
from ray._core.common.policy import Knobs
from ray._core.gcs.actor_service import ActorService
from ray._core.gcs.group_service import GroupService
from ray._core.gcs.inquiry import InquiryService
from ray._core.gcs.job_service import JobService
from ray._core.gcs.journal import Journal
from ray._core.gcs.kv_service import KvService
from ray._core.gcs.log_relay import LogRelay
from ray._core.gcs.node_manager import NodeManager
from ray._core.gcs.package_service import PackageService
from ray._core.gcs.peers import Peers
from ray._core.gcs.presence import Door, Ended
from ray._core.gcs.publisher import Publisher
from ray._core.gcs.state_service import StateService
from ray._core.gcs.storage import Storage, open_storage
from ray._core.wire import aio, auth
from ray._core.wire.owner_watch import end_with_owner
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
        self.journal = Journal(storage, self._storage_changed)
        self._askers: set[aio.Connection] = set()
        """Connections on which people may wait for answers."""
        self._gate = None if storage is None else self.journal.passes
        self.publisher = Publisher()
        self.kv = KvService(self.journal)
        self.kv.table.put("session", b"cluster", _describe(session_dir, config), True)
        self.jobs = JobService(self.publisher, self.journal, now_ms, lambda: (self.session_name, self.config.encode()))
        self.peers = Peers(grace_s(config), self._ended)
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

    def _storage_changed(self, trouble: str) -> None:
        """Everything else that is sent waits at the journal's gate meanwhile."""
        for connection in self._askers:
            connection.send_at_once(m.StorageTrouble(trouble))

    def received(self, connection: aio.Connection, message: Any, payload: bytes) -> None:
        aio.dispatch(self._handlers, connection, message, "gcs")

    def closed(self, connection: aio.Connection) -> None:
        self.publisher.gone(connection)
        self.log_relay.requester_gone(connection)
        self.kv.waiting.gone(connection)
        self.groups.waiting.gone(connection)
        self.nodes.waiting.gone(connection)
        self._askers.discard(connection)
        match connection.peer:
            case ("node", bytes(node_id)):
                self.nodes.connection_lost(node_id, connection)
            case ("agent", bytes(node_id)):
                self.log_relay.agent_gone(node_id, connection)
        self.peers.went(connection)

    def _ended(self, ended: Ended) -> None:
        """A raylet, driver or worker is dead, and does not come back."""
        if ended.kind == "node":
            self.nodes.died(ended.peer, "UNEXPECTED_TERMINATION", ended.why)
            self._resume_if_whole()
        else:
            self.jobs.driver_died(ended.peer)
            self.actors.owner_died(ended.peer)

    # ---------------------------------------------------------- handlers

    def _hello(self, connection: aio.Connection, hello: m.Hello) -> None:
        if hello.protocol != m.PROTOCOL:
            connection.close(f"The peer speaks protocol {hello.protocol}, this cluster {m.PROTOCOL}.")
            return
        if hello.role in ("worker", "driver", "cli"):
            self._askers.add(connection)
            if self.journal.trouble:
                connection.send_at_once(m.StorageTrouble(self.journal.trouble))
        if hello.role in ("worker", "driver"):
            self.peers.came("core", hello.worker_id, hello.node_id, _door(hello.address), connection)
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
        self._expect_those_of_before()
        self._resume_if_whole()

    def _expect_those_of_before(self) -> None:
        """Who lived then reconnects by itself; nothing is placed before all nodes are back or given up."""
        give_up_s = float(self.config.gcs_rpc_server_reconnect_timeout_s)
        for node in self.nodes.table.infos():
            if node.state == "ALIVE":
                door = (node.host, node.raylet_port)
                self.peers.expect("node", node.node_id, node.node_id, door, give_up_s)
        for address in [*self.jobs.living_drivers(), *self.actors.table.owners()]:
            self.peers.expect("core", address.worker_id, address.node_id, _door(address), give_up_s)

    def node_is_back(self) -> None:
        """A raylet has registered."""
        self._resume_if_whole()

    def _resume_if_whole(self) -> None:
        if self.actors.holds_placing and not self.peers.presence.misses_nodes:
            self.groups.resume()
            self.actors.resume()


def _door(address: m.Address | None) -> Door:
    """Where a core worker listens for those of other nodes."""
    return ("", 0) if address is None else (address.host, address.port)


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
    end_with_owner(stop.set)
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
