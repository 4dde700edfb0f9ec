"""A node: its processes on this machine, started and stopped. Floor: node, shell."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray._core.common import config as configuration
from ray._core.common.resources_dir import resources_dir
from ray._core.node import dashboard_port, machine, membership, reaper, session_dir, stale_arenas
from ray._core.node.node_names import NodeNames
from ray._core.node.params import NodeParams
from ray._core.node.services import Service
from ray._core.raylet.external_storage import FileStorage, storage_of
from ray._core.wire import auth
from ray._core.wire.owner_watch import OWNER_PID
from ray._core.wire.ports import WORKER_PORTS
from ray._version import VERSION

REAPER = Path(reaper.__file__)


class Node(NodeNames):
    """A head (gcs_server and raylet) or a joining node (raylet), with a reaper.

    `start()` starts it and returns once it serves; `stop()` ends it. A node that is `fate_shared` also ends with the
    process that started it; another one outlives it, and is stopped by `ray stop`.
    """

    def __init__(self, params: NodeParams | None = None, **given: Any) -> None:
        """Raises ValueError for parameters that no node can have (see NodeParams, whose fields `given` may name)."""
        self.params = params or NodeParams(**given)
        self.unique_id = secrets.token_hex(28)
        self.head = self.params.head
        self.node_ip_address = ""
        self.gcs_address = ""
        self.raylet_socket_name = ""
        self.plasma_store_socket_name = ""
        self.webui_url = ""
        self.session_dir = Path()
        self.config = configuration.Config()
        self.gcs: Service | None = None
        self.raylet: Service | None = None
        self.extras: list[Service] = []
        self._env: dict[str, str] = {}
        self._fate = -1
        self._reaper: subprocess.Popen[bytes] | None = None

    def get_runtime_env_dir_path(self) -> str:
        """Where this node's runtime environments lie."""
        return resources_dir(str(self.session_dir), self.head, self.unique_id)

    def services(self) -> list[Service]:
        return [service for service in (self.gcs, self.raylet, *self.extras) if service is not None]

    # ---------------------------------------------------------- starting

    def start(self) -> None:
        """Start everything and return when it serves.

        Raises:
            StartError: a process ended, or did not say in time that it serves.
            ConnectionError: the port of a new head is taken, or the cluster to join is not there.
            AuthenticationFailed: there is no token, or it is not the cluster's.
            VersionMismatch: the cluster to join is of another version.
            OSError: the session directory cannot be made.
        """
        try:
            if self.params.head:
                self._begin_head()
            else:
                self._begin_joining()
            self._start_raylet()
            self._wait_ready()
            if self.params.client_server_port is not None:
                self._start_client_server(self.params.client_server_port)
        except BaseException:
            self.kill()
            raise

    def _begin_head(self) -> None:
        params = self.params
        self.config = configuration.load(params.system_config)
        self._env = self._environment(auth.load_token(self.config.enable_token_auth, create=True))
        self.node_ip_address = params.node_ip or "127.0.0.1"
        listening = self._bind_gcs()
        with listening:
            temp = session_dir.temp_dir(params.temp_dir)
            self.session_dir = session_dir.prepare(temp, session_dir.new_session_name())
            self._start_reaper()
            self._start_gcs(listening)

    def _start_gcs(self, listening: socket.socket) -> None:
        self.gcs_address = f"{self.node_ip_address}:{listening.getsockname()[1]}"
        storage, env = self._storage()
        command = ["-m", "ray._core.gcs.server", "--listen-fd", str(listening.fileno()), "--storage", storage]
        command += ["--session-dir", str(self.session_dir), "--config", self.config.encode()]
        self.gcs = self._start_service("gcs_server", command, fds=[listening.fileno()], env=env)

    def _storage(self) -> tuple[str, dict[str, str]]:
        """Where the GCS keeps its tables, and the variables that tell it of a Redis (a password is no argument)."""
        params = self.params
        given = {
            "RAY_REDIS_ADDRESS": params.redis_address,
            "RAY_REDIS_USERNAME": params.redis_username,
            "RAY_REDIS_PASSWORD": params.redis_password,
        }
        env = {name: value for name, value in given.items() if value}
        kind = self.config.gcs_storage
        if not kind:
            has_redis = "RAY_REDIS_ADDRESS" in {**self._env, **env}
            kind = "redis" if has_redis else "sqlite" if params.durable else "memory"
        return (f"sqlite:{self.session_dir}/gcs.sqlite" if kind == "sqlite" else kind), env

    def start_gcs_server(self) -> None:
        """Start a GCS again, where the one that was killed listened; it takes up what its storage kept."""
        if self.gcs is not None and self.gcs.is_alive:
            return
        ip, port = membership.split_address(self.gcs_address)
        with socket.create_server((bind_host(ip), port), family=_family(ip), backlog=1024) as listening:
            self._start_gcs(listening)
        assert self.gcs is not None
        self.gcs.wait_ready(self.config.start_timeout_s)

    def _bind_gcs(self) -> socket.socket:
        """Bound here, so that a raylet may connect before the GCS has made its imports."""
        ip, port = self.node_ip_address, self.params.gcs_port
        try:
            return socket.create_server((bind_host(ip), port), family=_family(ip), backlog=1024)
        except OSError as error:
            if port and membership.is_serving(f"{ip}:{port}"):
                raise ConnectionError(
                    f"Ray is trying to start at {ip}:{port}, but is already running at {ip}:{port}. "
                    "Please specify a different port using the `--port` flag of `ray start` command."
                ) from error
            raise ConnectionError(
                f"Ray cannot start at {ip}:{port}: {error.strerror or error}. Another program listens there, or the "
                "address is not this machine's. Choose another port with --port (0: any free one) or another "
                "--node-ip-address."
            ) from error

    def _begin_joining(self) -> None:
        params = self.params
        assert params.gcs_address is not None
        self.gcs_address = params.gcs_address
        host, _ = membership.split_address(self.gcs_address)
        facts = membership.patiently(self._ask_cluster)
        membership.check_versions(facts)
        self.config = configuration.load(facts.config)
        self._env = self._environment(auth.load_token())
        self.node_ip_address = params.node_ip or machine.node_ip(host)
        temp = session_dir.temp_dir(params.temp_dir) if params.temp_dir else Path(facts.session_dir).parent
        self.session_dir = session_dir.prepare(temp, facts.session_name)
        self._start_reaper()

    def _ask_cluster(self) -> membership.ClusterFacts:
        with membership.open_client(self.gcs_address, "raylet") as client:
            return membership.ask_cluster(client)

    def _environment(self, token: bytes) -> dict[str, str]:
        """Of the node's processes: they must not find another token, or another mode, than this process has.

        The token itself, since its file may be replaced while they run.
        """
        params = self.params
        given = {WORKER_PORTS: params.worker_ports, "RAY_object_spilling_directory": params.spill_dir}
        of_node = {name: value for name, value in given.items() if value}
        secret = (
            {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token.decode()} if token else {"RAY_AUTH_MODE": "disabled"}
        )
        owner = {OWNER_PID: str(os.getpid()) if params.fate_shared else ""}
        return {**os.environ, **of_node, **params.env, **secret, **owner}

    def _start_raylet(self) -> None:
        sockets_dir = self.session_dir / "sockets"
        listening, name = session_dir.listen(sockets_dir, "raylet")
        dashboard = self._bind_dashboard()
        with listening, dashboard or contextlib.nullcontext():
            self.raylet_socket_name = str(sockets_dir / name)
            stale_arenas.remove(self.params.shm_dir)
            self.plasma_store_socket_name = f"{self.params.shm_dir}/ray-{self.unique_id[:16]}.arena"
            command = ["-m", "ray._core.raylet.main", "--session-dir", str(self.session_dir)]
            command += [
                "--listen-fd",
                str(listening.fileno()),
                "--settings",
                json.dumps(self._raylet_settings(dashboard)),
            ]
            fds = [listening.fileno(), *([dashboard.fileno()] if dashboard else [])]
            files = [self.plasma_store_socket_name, self.raylet_socket_name, *self._spill_directories()]
            self.raylet = self._start_service("raylet", command, log_name=name, fds=fds, files=files)

    def _spill_directories(self) -> list[str]:
        """Where the raylet will spill to, as far as that is this machine's disk."""
        config, directory = self.config, self.params.spill_dir or self.config.object_spilling_directory
        storage = storage_of(config.object_spilling_config, directory or str(self.session_dir), self.unique_id)
        return storage.directories if isinstance(storage, FileStorage) else []

    def _bind_dashboard(self) -> socket.socket | None:
        params = self.params
        if not params.head:
            return None
        bound = dashboard_port.bind(params.dashboard_host, params.dashboard_port, params.include_dashboard)
        if bound is not None:
            host = self.node_ip_address if params.dashboard_host in ("0.0.0.0", "::") else params.dashboard_host
            self.webui_url = f"{host}:{bound.getsockname()[1]}"
        return bound

    def _raylet_settings(self, dashboard: socket.socket | None = None) -> dict[str, Any]:
        params = self.params
        gcs_host, gcs_port = membership.split_address(self.gcs_address)
        amounts = self.resources()
        return {
            "node_id": self.unique_id,
            "node_ip": self.node_ip_address,
            "node_name": params.node_name or self.node_ip_address,
            "labels": dict(params.labels),
            "gcs_host": gcs_host,
            "gcs_port": gcs_port,
            "raylet_port": params.raylet_port,
            "metrics_port": params.metrics_port,
            "agent_port": params.agent_port,
            "raylet_path": self.raylet_socket_name,
            "session_dir": str(self.session_dir),
            "sockets_dir": str(self.session_dir / "sockets"),
            "log_dir": str(self.session_dir / "logs"),
            "resources": amounts,
            "object_store_memory": int(amounts["object_store_memory"]),
            "arena_path": self.plasma_store_socket_name,
            "is_head": params.head,
            "config": self.config.encode(),
            "version": VERSION,
            "dashboard": {
                "fd": dashboard.fileno(),
                "url": self.webui_url,
                "host": params.dashboard_host,
                "at_once": bool(params.include_dashboard),
            }
            if dashboard is not None
            else None,
        }

    def resources(self) -> dict[str, float]:
        """What the node has, by name; bytes for memory."""
        params = self.params
        free = machine.available_memory()
        store = params.object_store_memory or machine.object_store_memory(free, params.shm_dir)
        amounts = {
            **params.resources,
            "CPU": machine.num_cpus() if params.num_cpus is None else params.num_cpus,
            "GPU": machine.num_gpus() if params.num_gpus is None else params.num_gpus,
            "memory": params.memory or max(free - store, 0),
            "object_store_memory": store,
            f"node:{self.node_ip_address}": 1.0,
        }
        if params.head:
            amounts["node:__internal_head__"] = 1.0
        return {name: float(amount) for name, amount in amounts.items()}

    def _start_client_server(self, port: int) -> None:
        """Its clients wait for it, so nobody else does: it imports gRPC, which takes longer than the whole start."""
        ip = self.node_ip_address
        try:
            socket.create_server((bind_host(ip), port), family=_family(ip)).close()
        except OSError as error:
            raise ConnectionError(
                f"The Ray Client server cannot listen at port {port}: {error.strerror or error}. Choose another one "
                "with --ray-client-server-port."
            ) from error
        command = ["-m", "ray.util.client.server", f"--address={self.gcs_address}"]
        command += [f"--host={bind_host(ip) or '0.0.0.0'}", f"--port={port}", "--mode=proxy"]
        command += [f"--node-id={self.unique_id}", "--session-dir", str(self.session_dir)]
        self.extras.append(self._start_service("ray_client_server", command, announces=False))

    def _start_service(
        self,
        name: str,
        command: list[str],
        *,
        log_name: str | None = None,
        fds: list[int] | None = None,
        files: list[str] | None = None,
        env: Mapping[str, str] | None = None,
        announces: bool = True,
    ) -> Service:
        log_dir = self.session_dir / "logs"
        whole_env = {**self._env, **(env or {})}
        service = Service(name, command, log_dir, log_name=log_name, fds=fds or [], env=whole_env, announces=announces)
        try:
            os.write(self._fate, reaper.charge(service.pid, files or []))
        except OSError:  # the reaper has ended: nobody would end this process with its owner
            service.kill()
            raise
        return service

    def _wait_ready(self) -> None:
        for service in self.services():
            said = service.wait_ready(self.config.start_timeout_s)
            if service is self.gcs:
                self.gcs_address = f"{self.node_ip_address}:{said['port']}"

    def _start_reaper(self) -> None:
        pipe, self._fate = os.pipe()
        mode = [] if self.params.fate_shared else ["--detached"]
        with open(os.devnull, "wb") as devnull:
            self._reaper = subprocess.Popen(
                [sys.executable, "-S", "-E", str(REAPER), *mode, str(os.getpid())],
                stdin=pipe,
                stdout=devnull,
                stderr=devnull,
                start_new_session=True,
            )
        os.close(pipe)

    # ---------------------------------------------------------- ending

    def stop(self) -> None:
        """End all processes: the raylet first, by its own means, then the rest. Again: nothing."""
        for service in (*reversed(self.extras), self.raylet, self.gcs):
            if service is not None and service.is_alive:
                service.stop(self.config.graceful_shutdown_timeout_s)
        self._dismiss_reaper()

    def kill(self) -> None:
        """End all processes at once, as a crash of the machine would; what they leave is freed."""
        for service in self.services():
            service.kill()
        self._dismiss_reaper()

    def kill_all_processes(self, check_alive: bool = True, allow_graceful: bool = False, wait: bool = False) -> None:
        """Ray's name for `stop` and `kill`. Raises RuntimeError when `check_alive` finds one that has ended already."""
        dead = [name for name, _ in self.dead_processes()]
        if check_alive and dead:
            raise RuntimeError(f"These processes of {self!r} have ended already: {', '.join(dead)}.")
        if allow_graceful:
            self.stop()
        else:
            self.kill()

    def detach(self) -> None:
        """There will be no more processes to watch: what is left for the reaper is to wait for the end of these."""
        if self._fate >= 0:
            with contextlib.suppress(BrokenPipeError):  # it has ended
                os.write(self._fate, reaper.END)
            os.close(self._fate)
            self._fate = -1

    def _dismiss_reaper(self) -> None:
        """It ends by itself once what it watches has ended, with its files freed."""
        self.detach()
        if self._reaper is not None:
            self._reaper.wait()
            self._reaper = None


def bind_host(ip: str) -> str:
    """Where a server of a node with this address listens: a loopback node is reached from its own machine only."""
    return ip if ip.startswith("127.") or ip == "::1" else ""


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


__all__ = ["Node", "NodeParams", "bind_host"]
