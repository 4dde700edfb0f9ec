"""Fixtures of the Ray Client's tests: a cluster, servers on it, and this process as their client."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import Server

os.environ.setdefault("RAY_AUTH_TOKEN", "token-of-the-tests")
# Servers and workers import the test modules by name, as they would import a program's own from its working_dir.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))

import ray
from ray.cluster_utils import Cluster


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
