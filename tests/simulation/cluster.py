"""A whole simulated cluster: gcs_server and raylets as they are, with simulated machines, workers and drivers."""

from __future__ import annotations

import asyncio
import mmap
import traceback
from typing import Any

from ray._core.common import config as configuration
from ray._core.common import messages as m
from ray._core.gcs.server import GcsServer
from ray._core.raylet.machine import Machine
from ray._core.raylet.server import Raylet
from ray._core.wire import aio
from ray._version import VERSION
from simulation.core import Failure, SimCore
from simulation.disk import Disk
from simulation.executor import SimExecutor
from simulation.ledger import Ledger
from simulation.loop import Process, SimLoop
from simulation.network import Host, Network, fake_listening_socket

GCS_PORT = 6379
FORK_S = 0.002
START_S = 0.02
"""What a worker takes until it connects, at most."""
CONFIG: dict[str, Any] = {
    "enable_token_auth": False,
    "memory_monitor_refresh_ms": 0,
    "task_events_report_interval_ms": 0,
    "gcs_storage": "sqlite",
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
    "gcs_rpc_server_reconnect_timeout_s": 20,
}


class Zygote:
    """Forks simulated workers. The process ends when its raylet's connection does, and its children with it."""

    def __init__(self, cluster: Cluster, process: Process, raylet_path: str) -> None:
        self._cluster, self._process, self._path = cluster, process, raylet_path
        self._raylet: aio.Connection | None = None
        self._children: dict[int, Process] = {}
        self._rng = cluster.loop.random_for(f"forks of {process.name}")
        process.on_exit.append(self._ended)

    async def serve(self) -> None:
        await aio.serve_unix(self, f"{self._path}.zygote")

    def connected(self, connection: aio.Connection) -> None:
        self._raylet = connection

    def received(self, connection: aio.Connection, message: Any, payload: bytes) -> None:
        assert isinstance(message, m.Fork)
        asyncio.get_running_loop().call_later(self._rng.random() * FORK_S, self._fork, connection, message)

    def _fork(self, connection: aio.Connection, request: m.Fork) -> None:
        if self._rng.random() < self._cluster.fork_failures:
            connection.fail(request, "fork", "Resource temporarily unavailable")
            return
        child = self._cluster.start_child(self._process.host, request, self._path)
        self._children[child.pid] = child
        child.on_exit.append(lambda status: self._cluster.loop.post(self._process, self._report, child.pid, status))
        connection.reply(request, m.Forked(pid=child.pid))

    def _report(self, pid: int, status: int) -> None:
        self._children.pop(pid, None)
        if self._raylet is not None:
            self._raylet.send(m.ChildExited(pid, status))

    def closed(self, connection: aio.Connection) -> None:
        self._cluster.loop.kill(self._process, 0)

    def _ended(self, status: int) -> None:
        """PDEATHSIG."""
        for child in list(self._children.values()):
            self._cluster.loop.after(self._rng.random() * 0.0005, self._cluster.loop.kill, child)


class SimMachine(Machine):
    def __init__(self, cluster: Cluster, process: Process, raylet_path: str) -> None:
        super().__init__(-1)
        self._cluster, self._process, self._path = cluster, process, raylet_path
        self.rng = cluster.loop.random_for(f"raylet {process.name}")
        self._zygote_process: Process | None = None

    async def listen(self, handler: aio.Handler) -> None:
        await aio.serve_unix(handler, self._path)

    async def connect_zygote(self, handler: aio.Handler) -> aio.Connection:
        loop = self._cluster.loop
        started = asyncio.get_running_loop().create_future()

        async def main() -> None:
            await Zygote(self._cluster, process, self._path).serve()
            loop.post(self._process, started.set_result, None)

        process = loop.start_process(f"zygote-{self._process.name}", self._process.host, main)
        self._zygote_process = process
        await started
        return await aio.connect_unix(handler, f"{self._path}.zygote")

    def kill(self, pid: int) -> None:
        process = self._cluster.loop.processes.get(pid)
        if process is not None:
            assert process.host is self._process.host, f"{self._process.name} kills {process.name} on another machine"
            self._cluster.loop.kill(process)

    def map_arena(self, path: str, size: int, directory: str) -> tuple[mmap.mmap, None]:
        return mmap.mmap(-1, size), None

    def reserve_memory(self, offset: int, size: int) -> bool:
        return True

    def give_memory_back(self, offset: int, size: int) -> None: ...

    def remove_leftovers(self, session_dir: str, spill_dirs: list[str]) -> None: ...

    def close(self, *paths: str) -> None:
        if self._zygote_process is not None:
            self._cluster.loop.kill(self._zygote_process)


class Node:
    """One node of the cluster, in one life of its raylet. `raylet` is there once the process has started."""

    def __init__(self, number: int, host: Host, resources: dict[str, float]) -> None:
        self.number, self.host, self.resources = number, host, resources
        self.node_id = b""
        self.process: Process
        self.raylet: Raylet | None = None
        self.is_ready = False

    def __repr__(self) -> str:
        return f"<Node {self.number} on {self.host.name}>"


class Cluster:
    def __init__(self, loop: SimLoop, overrides: dict[str, Any] | None = None) -> None:
        self.loop = loop
        self.network = Network(loop)
        self.config = configuration.load({**CONFIG, **(overrides or {})}, {})
        self.disk = Disk()
        self.ledger = Ledger(self)
        self.fork_failures = 0.0
        self.totals: dict[str, dict[str, int]] = {}
        """What each host has, in fixed point."""
        self.head = self.network.add_host("head")
        self.gcs_process: Process
        self.gcs: GcsServer
        self.nodes: dict[str, Node] = {}
        """The latest node on each host."""
        self.drivers: list[SimCore] = []
        self._numbers = 0
        self._gcs_lives = 0
        self._id_rng = loop.random_for("ids")

    # ---------------------------------------------------------- gcs_server

    def start_gcs(self) -> None:
        self._gcs_lives += 1
        rng = self.loop.random_for(f"gcs {self._gcs_lives}")

        async def main() -> None:
            self.gcs = server = GcsServer(
                "/session", self.config, self.disk.open(), lambda: self.loop.wall_ms(process), rng
            )
            server.restore()
            await server.listen(b"", fake_listening_socket(self.head.ip, GCS_PORT))

        process = self.loop.start_process(f"gcs{self._gcs_lives}", self.head, main)
        self.gcs_process = process

    # ---------------------------------------------------------- nodes

    def start_node(self, host: Host, resources: dict[str, float]) -> Node:
        self._numbers += 1
        node = Node(self._numbers, host, resources)
        node.node_id = self._id_rng.randbytes(28)
        self.nodes[host.name] = node
        self.totals[host.name] = {name: round(amount * 10_000) for name, amount in resources.items()}
        path = f"/{host.name}/raylet{node.number}"
        settings = {
            "config": self.config.encode(),
            "node_id": node.node_id.hex(),
            "resources": resources,
            "object_store_memory": 1 << 20,
            "raylet_path": path,
            "arena_path": f"{path}.arena",
            "node_ip": host.ip,
            "raylet_port": 0,
            "node_name": host.name,
            "is_head": host is self.head,
            "labels": {},
            "session_dir": "/session",
            "log_dir": "/session/logs",
            "metrics_port": 0,
            "agent_port": None,
            "gcs_host": self.head.ip,
            "gcs_port": GCS_PORT,
            "version": VERSION,
        }

        async def main() -> None:
            raylet = node.raylet = Raylet(settings, SimMachine(self, process, path))
            status = 0
            try:
                await raylet.start()
                node.is_ready = True
                await raylet.stop.wait()
                await raylet.leave()
            except (OSError, aio.RequestFailed) as error:
                self.loop.tell(f"{process.name} fails: {error!r}")
                status = 1 << 8
            finally:
                if process.is_alive:
                    raylet.close()
            self.loop.kill(process, status)

        process = node.process = self.loop.start_process(f"raylet{node.number}", host, main)
        return node

    def start_child(self, host: Host, request: m.Fork, raylet_path: str) -> Process:
        if request.role != "worker":

            async def idle() -> None: ...

            return self.loop.start_process(f"agent{self.loop._pid}", host, idle)
        startup_s = self._id_rng.random() * START_S

        async def main() -> None:
            await asyncio.sleep(startup_s)
            core = SimCore(self, process, "worker", raylet_path, request.worker_id, SimExecutor)
            try:
                await core.start()
            except OSError:
                self.loop.kill(process, 1 << 8)

        process = self.loop.start_process(f"worker{self.loop._pid + 1}", host, main)
        return process

    def is_in_order(self, host: Host) -> bool:
        """Whether the latest raylet there lives, and the GCS does not hold it for dead."""
        node = self.nodes[host.name]
        if not node.process.is_alive or node.process.stopped_until_s > self.loop.now_s:
            return False
        info = self.gcs.nodes.table.info(node.node_id)
        return info is not None and info.state == "ALIVE"

    def has_forgotten(self, actor_id: bytes) -> bool:
        """Whether one incarnation may have been begun twice: its node was lost before it could tell."""
        return True

    # ---------------------------------------------------------- drivers

    def start_driver(self, name: str, node: Node, program: Any) -> Process:
        """`program(core)` runs as a driver on that node; it says itself when the job ends."""

        async def main() -> None:
            path = f"/{node.host.name}/raylet{node.number}"
            core = SimCore(self, process, "driver", path, self.loop.random_for(f"driver {name}").randbytes(28))
            try:
                await core.start()
                await core.become_driver()
                self.drivers.append(core)
                await program(core)
            except (Failure, ConnectionRefusedError) as failure:  # refused: its raylet has ended meanwhile
                self.loop.tell(f"{name} fails: {failure}")
                self.loop.kill(process, 1 << 8)
            except Exception as error:
                self.loop.problems.append("".join(traceback.format_exception(error)))

        process = self.loop.start_process(name, node.host, main)
        return process
