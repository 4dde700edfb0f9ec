"""Which cluster `ray.init(address=…)` means, and how this machine's node of it is reached."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from ray._core.common import messages as m
from ray._core.common.errors import AuthenticationError
from ray._core.node import membership, session_dir
from ray._core.wire import auth

DEFAULT_PORT = 6379


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A running cluster that was asked for: `source` says by what."""

    address: str
    source: str


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
    try:
        membership.split_address(address)
    except ValueError:
        raise ValueError(
            f'Invalid address format: {source}{address!r}. It is "host:port", "auto" or "local".'
        ) from None
    return Cluster(address, f"{source}{address!r}")


def _recorded(temp: Path, *, needed: bool) -> Cluster | None:
    """The cluster that `ray start` wrote down here, if it still serves."""
    text = session_dir.read_current_cluster(temp)
    if text and membership.is_serving(text):
        return parse(text, f"{temp / session_dir.CURRENT_CLUSTER}: ")
    if needed:
        raise ConnectionError(
            "Could not find any running Ray instance. Please specify the one to connect to by setting `--address` "
            "flag or `RAY_ADDRESS` environment variable, start one with `ray start --head`, "
            "or call ray.init() without an address to start a local one."
        )
    return None


def local_raylet(cluster: Cluster, node_ip: str | None = None) -> str:
    """The Unix socket of the cluster's node on this machine; with `node_ip`, of the one at that address.

    Raises:
        ConnectionError: the cluster cannot be reached, or has no node here.
        AuthenticationError: it refuses our token.
        RuntimeError: it is of another version.
    """

    def nodes_of_cluster() -> list[m.NodeInfo]:
        with membership.open_client(cluster.address, "cli") as client:
            membership.check_versions(membership.ask_cluster(client))
            return membership.list_nodes(client)

    with authentication_told():
        nodes = membership.patiently(nodes_of_cluster)
    for node in sorted(nodes, key=lambda node: not node.is_head):
        if node.state == "ALIVE" and node_ip in (None, node.host) and os.path.exists(node.raylet_path):
            path: str = node.raylet_path
            return path
    where = f"this machine with the address {node_ip}" if node_ip else "this machine"
    raise ConnectionError(
        f"The cluster at {cluster.address} has no living node on {where}; a driver needs one. "
        f"Start it with `ray start --address={cluster.address}`."
    )


@contextlib.contextmanager
def authentication_told() -> Iterator[None]:
    """What the wire says of tokens, as the exception that users know."""
    try:
        yield
    except auth.AuthenticationFailed as error:
        raise AuthenticationError(str(error)) from error
