"""Fixtures of the Ray Client's tests: a cluster, servers on it, and this process as their client."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("RAY_AUTH_TOKEN", "token-of-the-tests")
# Servers and workers import the test modules by name, as they would import a program's own from its working_dir.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))

import ray
from ray.cluster_utils import Cluster

START_S = 30


class Server:
    """A Ray Client server process."""

    def __init__(self, gcs_address: str, mode: str, log: Path, env: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.address = f"ray://127.0.0.1:{self.port}"
        self.log = log
        command = [sys.executable, "-m", "ray.util.client.server", f"--address={gcs_address}", "--host=127.0.0.1"]
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                [*command, f"--port={self.port}", f"--mode={mode}"],
                stdout=file,
                stderr=file,
                env={**os.environ, **env},
            )

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(60)  # this machine may be busy
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@pytest.fixture(scope="module")
def head() -> Iterator[Cluster]:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "object_store_memory": 256 << 20})
    yield cluster
    cluster.shutdown()


@pytest.fixture
def start_server(head: Cluster, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """`start_server(mode, **environment)`; ends with the test."""
    servers: list[Server] = []

    def start(mode: str = "specific-server", **env: str) -> Server:
        server = Server(head.address, mode, tmp_path / f"server{len(servers)}.log", env)
        servers.append(server)
        return server

    yield start
    ray.shutdown()
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def shared_server(head: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(head.address, "specific-server", tmp_path_factory.mktemp("server") / "log", {})
    yield server
    server.stop()


@pytest.fixture(scope="module")
def connected(shared_server: Server) -> Iterator[Any]:
    """This process is a client of a server that the module's tests share."""
    context = ray.init(shared_server.address, namespace="client-tests")
    yield context
    ray.shutdown()
