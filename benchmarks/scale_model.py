"""A cluster too large to be simulated whole, for `scale_simulated.py`: real gcs_server, few real nodes, many modelled.

The nodes on which drivers run are as in `tests/simulation`: real raylets, real core workers. All others are modelled:
they speak the real messages with the GCS and with owners (join, report, answer pings, lend workers, run tasks, host
actors and bundles), and decide nothing but first come, first served. What the GCS sends to all of them they count and
pass over, as a model of ten thousand nodes cannot hold ten thousand views of ten thousand nodes.

A callback of a real process takes as long on the virtual clock as it takes of this machine's CPU, so a GCS that is
overloaded here is overloaded there.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections import Counter, deque
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from simulation.cluster import GCS_PORT, START_S, Cluster
from simulation.loop import Process, SimLoop
from simulation.network import Host
from simulation.reactor import Connection as CoreConnection

from ray._core.common import messages as m
from ray._core.common.resources import Resources, add, fits, subtract
from ray._core.store import serialization
from ray._core.wire import aio, codec
from ray._version import VERSION

UNIT = 10_000
SLOW_S = 0.01
PYTHON = ".".join(map(str, sys.version_info[:2]))
_PASSED_OVER = {cls.__struct_config__.tag for cls in (m.ResourceViews, m.NodeChanged)}  # type: ignore[attr-defined]
"""By far the most bytes, and no business of a modelled node."""


class TimedLoop(SimLoop):
    """Charges CPU time: to `cpu_s`, by kind of process, and to the virtual clock of the process."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.cpu_s: Counter[str] = Counter()
        self.sent: Counter[tuple[str, str]] = Counter()
        """Messages by kind of sender and name."""

    def _turn(self, process: Process) -> None:
        kind = kind_of(process)
        if kind == "model":
            super()._turn(process)
            return
        before_s = time.thread_time()
        super()._turn(process)
        took_s = time.thread_time() - before_s
        self.cpu_s[kind] += took_s
        process.stopped_until_s = max(process.stopped_until_s, self.now_s + took_s)

    def count_messages(self) -> None:
        """From now on, what real and modelled processes send."""

        def counted(cls: Any, name: str) -> None:
            original = getattr(cls, name)

            def send(connection: Any, message: Any, *args: Any) -> None:
                if not connection.is_closed:
                    frame = message if isinstance(message, bytes) else None
                    kind = kind_of(self.current)
                    tag = _NAMES[_tag(frame, 0)] if frame is not None else type(message).__name__
                    self.sent[kind, tag] += 1
                original(connection, message, *args)

            setattr(cls, name, send)

        counted(aio.Connection, "send")
        counted(CoreConnection, "send")
        if hasattr(aio.Connection, "send_frame"):
            counted(aio.Connection, "send_frame")


def kind_of(process: Process | None) -> str:
    name = "" if process is None else process.name
    return next((kind for kind in ("gcs", "raylet", "driver", "worker") if name.startswith(kind)), "model")


_NAMES = {cls.__struct_config__.tag: cls.__name__ for cls in m.ALL}  # type: ignore[attr-defined]


def _tag(frame: Any, start: int) -> int:
    """Of the message in a frame that begins at `start`: the first field of a msgpack array."""
    at = start + codec.PREFIX_SIZE + (1 if 0x90 <= frame[start + codec.PREFIX_SIZE] <= 0x9F else 3)
    first: int = frame[at]
    if first < 0x80:
        return first
    return int(frame[at + 1]) if first == 0xCC else int.from_bytes(frame[at + 1 : at + 3], "big")


class LeanConnection(aio.Connection):
    """Of a modelled node: decodes only what it acts upon."""

    _rest = b""

    def data_received(self, data: bytes) -> None:
        if not self.ready.done():
            super().data_received(data)
            return
        data = self._rest + data if self._rest else data
        start, size = 0, len(data)
        while size - start >= codec.PREFIX_SIZE:
            header, payload = codec.sizes(memoryview(data)[start : start + codec.PREFIX_SIZE])
            end = start + codec.PREFIX_SIZE + header + payload
            if end > size:
                break
            tag = _tag(data, start)
            if tag == _REGISTERED:  # it lists all nodes: only that it has come counts
                self._answered(data[end - 1])
            elif tag not in _PASSED_OVER:
                super().data_received(data if start == 0 and end == size else data[start:end])
            start = end
        self._rest = b"" if start == size else data[start:]

    def _answered(self, rid: int) -> None:
        """`rid`: the last field of a reply; a node has asked too little yet for it to be more than one byte."""
        future = self._replies.pop(rid, None)
        if future is not None and not future.done():
            future.set_result(None)


_REGISTERED = m.NodeRegistered.__struct_config__.tag  # type: ignore[attr-defined]
ONE = m.Value(blob=serialization.serialize(1).to_blob())


class ModelNode:
    """One node: the messages of a raylet and of its workers, without their decisions."""

    def __init__(self, world: World, number: int, resources: Resources) -> None:
        self._world, self._loop = world, world.loop
        self.number, self.total, self.available = number, resources, dict(resources)
        self._rng = Random(f"{world.loop.seed}/node {number}")
        self.node_id = self._rng.randbytes(28)
        self.host = world.cluster.network.add_host(f"model{number}")
        self._version = 0
        self._is_owed = False
        self._timer: asyncio.TimerHandle | None = None
        self._gcs: LeanConnection
        self._idle = 0
        self._ids = itertools.count(number << 24)
        self._leases: dict[int, tuple[aio.Connection, Resources, bool]] = {}
        """Who has it, what it takes, and whether it was asked back."""
        self._waiting: deque[tuple[aio.Connection, m.RequestLease]] = deque()
        self._queues: dict[aio.Connection, deque[bytes]] = {}
        """Tasks pushed on each connection of an owner to a worker, the first of which runs."""
        self.actors: dict[bytes, m.CreateActor] = {}
        self._bundles: dict[bytes, list[Resources]] = {}
        self.is_joined = False
        self.process = world.loop.start_process(f"node{number}", self.host, self._main)

    # ---------------------------------------------------------- life

    async def _main(self) -> None:
        world, loop = self._world, asyncio.get_running_loop()
        _, self._port = await aio.serve_tcp(self, self.host.ip, 0, b"")
        _, self._gcs = await loop.create_connection(lambda: LeanConnection(self, b""), world.cluster.head.ip, GCS_PORT)
        await self._gcs.ready
        self._gcs.send(m.Hello(m.PROTOCOL, "raylet", node_id=self.node_id, pid=1))
        await self._gcs.request(m.Subscribe(channel="job"))
        info = m.NodeInfo(
            node_id=self.node_id,
            host=self.host.ip,
            raylet_port=self._port,
            raylet_path=f"/tmp/ray/session_2026-01-01_00-00-00_000000_1000/sockets/raylet.{self.number}",
            hostname=self.host.name,
            name=self.host.name,
            is_head=False,
            arena_path=f"/dev/shm/ray-arena-{self.number}",
            session_dir="/tmp/ray/session_2026-01-01_00-00-00_000000_1000",
            total=self.total,
            pid=1,
            version=VERSION,
            python=PYTHON,
        )
        await self._gcs.request(m.RegisterNode(info=info))
        for channel in ("node", "resources"):
            await self._gcs.request(m.Subscribe(channel=channel))
        self.is_joined = True
        world.joined += 1
        self._report()

    def connected(self, connection: aio.Connection) -> None: ...

    def closed(self, connection: aio.Connection) -> None:
        self._queues.pop(connection, None)
        for lease_id, (owner, _, _) in list(self._leases.items()):
            if owner is connection:
                self._release(lease_id)

    def received(self, connection: aio.Connection, message: Any, payload: bytes) -> None:
        match message:
            case m.Ping():
                self._report_now()
                connection.reply(message)
            case m.RequestLease():
                self._is_owed = True
                self._waiting.append((connection, message))
                self._grant()
            case m.ReturnLease():
                self._release(message.lease_id)
            case m.CancelLease():
                self._cancel(connection, message.request_rid)
            case m.PushTask():
                self._pushed(connection, message.task_id)
            case m.CreateActor():
                self._create(message)
            case m.DestroyActor():
                self._destroy(message)
            case m.PrepareBundles():
                self._prepare(connection, message)
            case m.CommitBundles():
                connection.reply(message)
            case m.ReturnBundles():
                for demand in self._bundles.pop(message.group_id, ()):
                    add(self.available, demand)
                connection.reply(message)
                self._report()

    # ---------------------------------------------------------- resources

    def _report(self) -> None:
        """As `raylet.resource_reporter`: at a change, and no more often than the interval."""
        if self._timer is None:
            self._report_now()

    def _report_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        state = dict(self.available)
        if state == self._reported and not self._is_owed:
            return
        self._reported, self._is_owed = state, False
        self._version += 1
        self._gcs.send(m.ReportResources(self.node_id, self._version, state, self.total, []))
        interval_s = max(10, self._world.joined) / 1000
        self._timer = asyncio.get_running_loop().call_later(interval_s, self._report_now)

    _reported: Resources | None = None

    # ---------------------------------------------------------- leases and tasks

    def _grant(self) -> None:
        while self._waiting and fits(self._waiting[0][1].scheduling.resources, self.available):
            connection, request = self._waiting.popleft()
            demand = request.scheduling.resources
            subtract(self.available, demand)
            lease_id = next(self._ids)
            self._leases[lease_id] = connection, demand, False
            if self._idle:
                self._idle -= 1
                self._granted(connection, request, lease_id)
            else:  # a worker is forked
                delay_s = 0.002 + self._rng.random() * START_S
                asyncio.get_running_loop().call_later(delay_s, self._granted, connection, request, lease_id)
        if self._waiting:
            for lease_id, (owner, demand, was_asked) in self._leases.items():
                if not was_asked and any(waiting is not owner for waiting, _ in self._waiting):
                    self._leases[lease_id] = owner, demand, True
                    owner.send(m.RevokeLease(lease_id))
        self._report()

    def _granted(self, connection: aio.Connection, request: m.RequestLease, lease_id: int) -> None:
        worker_id = self.node_id[:20] + lease_id.to_bytes(8, "big")
        address = m.Address(self.node_id, worker_id, self.host.ip, self._port, "")
        connection.reply(request, m.LeaseGranted(lease_id=lease_id, worker=address, pid=1))

    def _release(self, lease_id: int) -> None:
        lease = self._leases.pop(lease_id, None)
        if lease is not None:
            add(self.available, lease[1])
            self._idle += 1
            self._grant()

    def _cancel(self, connection: aio.Connection, rid: int) -> None:
        for number, (owner, request) in enumerate(self._waiting):
            if owner is connection and request.rid == rid:
                del self._waiting[number]
                connection.fail(request, "cancelled", "The request was taken back.")
                return

    def _pushed(self, connection: aio.Connection, task_id: bytes) -> None:
        queue = self._queues.setdefault(connection, deque())
        queue.append(task_id)
        if len(queue) == 1:
            self._start(connection, queue)

    def _start(self, connection: aio.Connection, queue: deque[bytes]) -> None:
        loop, task_id = asyncio.get_running_loop(), queue[0]
        self._world.started(task_id)
        took_s = self._world.task_s * (0.5 + self._rng.random())
        if took_s > SLOW_S:
            loop.call_later(SLOW_S, self._hand_back, connection, queue, task_id)
        loop.call_later(took_s, self._done, connection, queue, task_id, took_s)

    def _hand_back(self, connection: aio.Connection, queue: deque[bytes], running: bytes) -> None:
        if queue and queue[0] == running and len(queue) > 1:
            connection.send(m.TasksReturned(list(queue)[1:], blocked=True))
            queue.clear()
            queue.append(running)

    def _done(self, connection: aio.Connection, queue: deque[bytes], task_id: bytes, took_s: float) -> None:
        queue.popleft()
        connection.send(m.TaskDone(task_id, [ONE], duration_us=int(took_s * 1e6)))
        if queue:
            self._start(connection, queue)

    # ---------------------------------------------------------- actors and bundles

    def _create(self, message: m.CreateActor) -> None:
        self.actors[message.spec.actor_id] = message
        delay_s = 0.003 + self._rng.random() * START_S
        asyncio.get_running_loop().call_later(delay_s, self._started, message)

    def _started(self, message: m.CreateActor) -> None:
        actor_id = message.spec.actor_id
        if self.actors.get(actor_id) is message:
            worker_id = self.node_id[:12] + actor_id
            address = m.Address(self.node_id, worker_id, self.host.ip, self._port, "")
            self._gcs.send(m.ActorStarted(actor_id, message.incarnation, address, 1, ""))

    def _destroy(self, message: m.DestroyActor) -> None:
        created = self.actors.pop(message.actor_id, None)
        if created is not None:
            kind = "INTENDED_USER_EXIT" if message.graceful else "WORKER_DIED"
            self._gcs.send(m.ActorDied(message.actor_id, created.incarnation, kind, message.cause, b""))

    def _prepare(self, connection: aio.Connection, message: m.PrepareBundles) -> None:
        held = self._bundles.setdefault(message.group_id, [])
        for bundle in message.bundles:
            if not fits(bundle.resources, self.available):
                connection.fail(message, "busy", "no room")
                break
            subtract(self.available, bundle.resources)
            held.append(bundle.resources)
        else:
            connection.reply(message)
        self._report()


class World:
    """The cluster, its modelled nodes, and when each task was submitted and started."""

    def __init__(self, seed: int, task_s: float) -> None:
        self.loop = TimedLoop(seed)
        overrides = {
            "health_check_period_ms": 3000,
            "health_check_timeout_ms": 10_000,
            "health_check_initial_delay_ms": 5000,
            "health_check_failure_threshold": 5,
            "enable_worker_prestart": False,
        }
        self.cluster = Cluster(self.loop, overrides)
        self.task_s = task_s
        self.joined = 0
        self.nodes: list[ModelNode] = []
        self.submitted_at_s: dict[bytes, float] = {}
        self.waits_s: list[float] = []

    def started(self, task_id: bytes) -> None:
        at_s = self.submitted_at_s.pop(task_id, None)
        if at_s is not None:
            self.waits_s.append(self.loop.now_s - at_s)

    def power_off(self, host: Host) -> None:
        """Without a word: nobody's connection is closed."""
        host.is_up = False
        for process in [process for process in self.loop.processes.values() if process.host is host]:
            self.loop.kill(process, silently=True)
