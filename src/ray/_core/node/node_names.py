"""What others may ask a node and do to it, by the names that Ray's tests know. Floor: node, shell.

`Node` is the one that starts its processes; `ray._private.worker._global_node` of a driver that only connected is
another, without processes of its own.
"""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

from ray._core.common import messages as m
from ray._core.node.gcs_client import GcsClient
from ray._core.node.services import Service


@dataclasses.dataclass(frozen=True, slots=True)
class ProcessInfo:
    process: subprocess.Popen[bytes]


class NodeNames:
    """Facts and processes of a node. Subclasses set the attributes."""

    unique_id: str
    """The node's id in hex."""
    head: bool
    node_ip_address: str
    gcs_address: str
    raylet_socket_name: str
    plasma_store_socket_name: str
    """The shared-memory file: there is no store process, and no socket of one."""
    webui_url: str
    """host:port of the cluster's dashboard, "" without one."""
    session_dir: Path

    def __repr__(self) -> str:
        kind = "head" if self.head else "node"
        return f"<{type(self).__name__} {kind} {self.unique_id[:8]} at {self.node_ip_address} of {self.gcs_address}>"

    # ---------------------------------------------------------- facts

    @property
    def node_id(self) -> str:
        return self.unique_id

    @property
    def address(self) -> str:
        return self.gcs_address

    @property
    def raylet_ip_address(self) -> str:
        return self.node_ip_address

    @property
    def session_name(self) -> str:
        return self.session_dir.name

    def is_head(self) -> bool:
        return self.head

    def get_gcs_client(self) -> GcsClient:
        """A client of its own, which its caller closes."""
        return GcsClient(self.gcs_address)

    def registered(self) -> m.NodeInfo:
        """The node as the GCS knows it. Raises KeyError when that does not."""
        client = self.get_gcs_client()
        try:
            infos = {info.node_id.hex(): info for info in client.get_all_node_info().values()}
        finally:
            client.close()
        return infos[self.unique_id]

    @property
    def node_manager_port(self) -> int:
        return self.registered().raylet_port

    @property
    def metrics_export_port(self) -> int:
        return self.registered().metrics_port

    @property
    def dashboard_agent_listen_port(self) -> int:
        return self.registered().agent_port

    metrics_agent_port = runtime_env_agent_port = dashboard_agent_listen_port

    def get_session_dir_path(self) -> str:
        return str(self.session_dir)

    def get_temp_dir_path(self) -> str:
        return str(self.session_dir.parent)

    def get_logs_dir_path(self) -> str:
        return str(self.session_dir / "logs")

    def get_sockets_dir_path(self) -> str:
        return str(self.session_dir / "sockets")

    @property
    def address_info(self) -> dict[str, str | int | None]:
        info = self.registered()
        return {
            "metrics_export_port": info.metrics_port,
            "dashboard_agent_listen_port": info.agent_port,
            "node_ip_address": self.node_ip_address,
            "redis_address": None,
            "object_store_address": self.plasma_store_socket_name,
            "raylet_socket_name": self.raylet_socket_name,
            "webui_url": self.webui_url,
            "session_dir": str(self.session_dir),
            "gcs_address": self.gcs_address,
            "address": self.gcs_address,
            "node_id": self.unique_id,
        }

    # ---------------------------------------------------------- processes

    def services(self) -> list[Service]:
        """Those that this process started for the node, in that order."""
        return []

    @property
    def all_processes(self) -> dict[str, list[ProcessInfo]]:
        """By name: "gcs_server", "raylet", …"""
        found: dict[str, list[ProcessInfo]] = {}
        for service in self.services():
            found.setdefault(service.name, []).append(ProcessInfo(service.process))
        return found

    def live_processes(self) -> list[tuple[str, subprocess.Popen[bytes]]]:
        return [(service.name, service.process) for service in self.services() if service.is_alive]

    def dead_processes(self) -> list[tuple[str, subprocess.Popen[bytes]]]:
        return [(service.name, service.process) for service in self.services() if not service.is_alive]

    def any_processes_alive(self) -> bool:
        return bool(self.live_processes())

    def remaining_processes_alive(self) -> bool:
        """Whether none of the node's processes has ended by itself."""
        return not self.dead_processes()

    def kill_raylet(self, check_alive: bool = True) -> None:
        """SIGKILL; the reaper then frees the shared memory. Raises RuntimeError as `kill_gcs_server`."""
        self._kill("raylet", check_alive)

    def kill_gcs_server(self, check_alive: bool = True, wait: bool = False) -> None:
        """SIGKILL; it has ended when this returns, whatever `wait` says.

        Raises:
            RuntimeError: with `check_alive`, when it has ended already, or is not of this node.
        """
        self._kill("gcs_server", check_alive)

    def _kill(self, name: str, check_alive: bool) -> None:
        service = next((each for each in self.services() if each.name == name), None)
        if check_alive and (service is None or not service.is_alive):
            raise RuntimeError(f"Attempting to kill a process of type '{name}', but this process is already dead.")
        if service is not None:
            service.kill()
