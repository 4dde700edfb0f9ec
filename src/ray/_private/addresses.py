"""Which cluster `ray.init(address=…)` means, and how this machine's node of it is reached."""

from __future__ import annotations

import dataclasses
import os
import socket
import tempfile
from pathlib import Path

from ray._core.common import messages as m
from ray._core.wire import auth, blocking

DEFAULT_PORT = 6379


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A running cluster that was asked for: `source` says by what."""

    host: str
    port: int
    source: str


def temp_dir(given: str | None = None) -> Path:
    """Where sessions have their directories."""
    return Path(given or os.path.join(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray"))


def find(address: str | None, temp: Path) -> Cluster | None:
    """The cluster to connect to; None to start one.

    Source: Ray docs, `ray.init`, parameter `address`.
    Raises:
        ConnectionError: "auto" and none is known.
        ValueError: no address of a form that is known.
        NotImplementedError: Ray Client addresses.
    """
    if address == "local":
        return None
    source = "address="
    if address in (None, "auto"):
        given = os.environ.get("RAY_ADDRESS") or None
        if given == "local":
            return None
        if given not in (None, "auto"):
            address, source = given, "RAY_ADDRESS="
        else:
            return _recorded(temp, needed=address == "auto")
    assert address is not None
    if "://" in address:
        raise NotImplementedError(f"{source}{address!r}: Ray Client addresses are not available yet.")
    return parse(address, source)


def parse(address: str, source: str) -> Cluster:
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdigit():
        raise ValueError(f'Invalid address format: {source}{address!r}. It is "host:port", "auto" or "local".')
    return Cluster(host, int(port), f"{source}{address!r}")


def _recorded(temp: Path, *, needed: bool) -> Cluster | None:
    """The cluster that `ray start` wrote down here, if somebody still listens there."""
    file = temp / "ray_current_cluster"
    text = file.read_text().strip() if file.exists() else ""
    if text:
        cluster = parse(text, f"{file}: ")
        if _listens(cluster):
            return cluster
    if needed:
        raise ConnectionError(
            "Could not find any running Ray instance. Start one with `ray start --head`, "
            "or call ray.init() without an address to start a local one."
        )
    return None


def _listens(cluster: Cluster) -> bool:
    try:
        socket.create_connection((cluster.host, cluster.port), 2.0).close()
    except OSError:
        return False
    return True


def local_raylet(cluster: Cluster) -> str:
    """The Unix socket of the cluster's node on this machine.

    Raises:
        ConnectionError: the cluster cannot be reached, refuses our token, or has no node here.
    """
    try:
        sock = blocking.connect_tcp(cluster.host, cluster.port, auth.load_token())
    except auth.AuthenticationFailed:
        raise
    except OSError as error:
        raise ConnectionError(
            f"Could not connect to a Ray cluster at {cluster.host}:{cluster.port} ({cluster.source}): {error}"
        ) from error
    with blocking.Client(sock, m.Hello(m.PROTOCOL, "driver", pid=os.getpid())) as client:
        nodes = client.request(m.ListNodes()).nodes
    for node in nodes:
        if node.state == "ALIVE" and os.path.exists(node.raylet_path):
            path: str = node.raylet_path
            return path
    raise ConnectionError(
        f"The cluster at {cluster.host}:{cluster.port} has no living node on this machine; a driver needs one. "
        f"Start it with `ray start --address={cluster.host}:{cluster.port}`."
    )
