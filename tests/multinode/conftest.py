"""Several raylets on this machine as one cluster: real processes, addressed over TCP as on several machines."""

import json
import os
import secrets
import signal
import time
from pathlib import Path

import psutil
import pytest

import ray
from ray._core.node.node import VERSION
from ray._core.node.services import Service
from ray._private.session import session


class ExtraNode:
    """A raylet that joins the cluster of `ray.init`."""

    def __init__(self, directory, num_cpus=1, resources=None, labels=None, store=64 * 1024 * 1024):
        head, node_id = session.node, secrets.token_bytes(28)
        self.node_id = node_id.hex()
        sockets = Path(directory) / node_id.hex()[:6]
        sockets.mkdir(mode=0o700)
        host, port = head.gcs_address.rsplit(":", 1)
        settings = {
            "node_id": self.node_id,
            "node_ip": "127.0.0.1",
            "gcs_host": host,
            "gcs_port": int(port),
            "session_dir": str(head.session_dir),
            "sockets_dir": str(sockets),
            "log_dir": str(head.session_dir / "logs"),
            "resources": {"CPU": num_cpus, **(resources or {})},
            "labels": labels or {},
            "object_store_memory": store,
            "arena_dir": "/dev/shm",
            "is_head": False,
            "config": head.config.encode(),
            "version": VERSION,
        }
        self.arena = Path(f"/dev/shm/ray-{self.node_id[:16]}.arena")
        self.service = Service(
            "raylet2", "ray._core.raylet.server", ["--settings", json.dumps(settings)], head.session_dir / "logs"
        )
        self.service.wait_ready(30)

    def kill(self):
        """kill -9 of the raylet, as when a machine fails."""
        os.kill(self.service.process.pid, signal.SIGKILL)
        self.service.process.wait()

    def stop(self):
        self.service.process.terminate()
        self.service.process.wait()


class Cluster:
    def __init__(self, directory):
        self.directory = directory
        self.nodes = []

    def add(self, **kwargs):
        self.nodes.append(ExtraNode(self.directory, **kwargs))
        return self.nodes[-1]

    @property
    def head_id(self):
        return session.node.node_id.hex()


def wait_until(condition, what, timeout_s=20):
    deadline_at_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_at_s, f"{what}: not within {timeout_s} s; nodes: {ray.nodes()}"
        time.sleep(0.02)


@pytest.fixture
def start_cluster(tmp_path):
    """`start_cluster(num_cpus=…)` is `ray.init` and gives a cluster to which nodes can be added."""
    clusters, arenas, processes = [], [], []

    def start(**kwargs):
        ray.init(**{"object_store_memory": 128 * 1024 * 1024, **kwargs})
        clusters.append(Cluster(tmp_path))
        return clusters[0]

    yield start
    for cluster in clusters:
        processes = psutil.Process().children(recursive=True)
        arenas = [node.arena for node in cluster.nodes]
        for node in cluster.nodes:
            if node.service.process.poll() is None:
                node.stop()
    ray.shutdown()
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    for arena in arenas:
        arena.unlink(missing_ok=True)  # of a killed raylet
