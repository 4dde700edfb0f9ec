"""A node: its session directory and its processes. Floor: node, shell."""

from __future__ import annotations

import datetime
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ray._core.common import config as configuration
from ray._core.node.services import Service
from ray._core.wire import auth

VERSION = "2.60.0"


def default_object_store_memory() -> int:
    """30 % of the machine's memory, within what /dev/shm has free."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = os.statvfs("/dev/shm")
    return min(int(memory * 0.3), int(free.f_bavail * free.f_frsize * 0.9))


class Node:
    """A head with the owner's fate: gcs_server, raylet (with zygote and workers), and a reaper.

    Args:
        resources: amounts by name, floats.
        object_store_memory: bytes of shared memory; None: 30 % of the machine's.
        system_config: settings by name (see common.config).
    """

    def __init__(
        self,
        resources: dict[str, float],
        object_store_memory: int | None = None,
        system_config: dict[str, Any] | None = None,
        temp_dir: str | None = None,
    ) -> None:
        self.resources = resources
        self.object_store_memory = object_store_memory or default_object_store_memory()
        self.config = configuration.load(system_config or {})
        parent = temp_dir or os.path.join(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray")
        stamp = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S_%f")
        self.session_dir = Path(parent) / f"session_{stamp}_{os.getpid()}"
        self.node_id = secrets.token_bytes(28)
        self.raylet_path = ""
        self.gcs_address = ""
        self._services: list[Service] = []

    def start(self) -> None:
        """Start everything and return when it serves. Raises StartError."""
        log_dir, sockets_dir = self.session_dir / "logs", self.session_dir / "sockets"
        for directory in (self.session_dir, log_dir, sockets_dir):
            directory.mkdir(mode=0o700, parents=True)
        auth.load_token(self.config.enable_token_auth, create=True)
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        arena_path = f"/dev/shm/ray-{self.node_id.hex()[:16]}.arena"
        reaper_r, self._fate = os.pipe()
        self._reaper = subprocess.Popen([sys.executable, "-m", "ray._core.node.reaper"], stdin=reaper_r)
        os.close(reaper_r)
        config = self.config.encode()
        gcs_args = ["--listen-fd", str(listening.fileno()), "--session-name", self.session_dir.name, "--config", config]
        gcs = Service("gcs_server", "ray._core.gcs.server", gcs_args, log_dir, [listening.fileno()])
        listening.close()
        settings = {
            "node_id": self.node_id.hex(),
            "node_ip": "127.0.0.1",
            "gcs_host": "127.0.0.1",
            "gcs_port": port,
            "session_dir": str(self.session_dir),
            "sockets_dir": str(sockets_dir),
            "log_dir": str(log_dir),
            "resources": self.resources,
            "object_store_memory": self.object_store_memory,
            "arena_dir": "/dev/shm",
            "is_head": True,
            "config": config,
            "version": VERSION,
        }
        raylet = Service("raylet", "ray._core.raylet.server", ["--settings", json.dumps(settings)], log_dir)
        self._services = [gcs, raylet]
        charge = {"pids": [service.process.pid for service in self._services], "files": [arena_path]}
        os.write(self._fate, json.dumps(charge).encode() + b"\n")
        try:
            gcs.wait_ready(self.config.start_timeout_s)
            self.raylet_path = raylet.wait_ready(self.config.start_timeout_s)["raylet_path"]
        except BaseException:
            self.stop()
            raise
        self.gcs_address = f"127.0.0.1:{port}"

    def stop(self) -> None:
        """End all processes: the raylet first, by its own means, then whatever is left."""
        for service in reversed(self._services):
            service.process.terminate()
            try:
                service.process.wait(self.config.graceful_shutdown_timeout_s)
            except subprocess.TimeoutExpired:
                service.process.kill()
                service.process.wait()
        os.close(self._fate)
        self._reaper.wait()
