"""What a process asks the GCS before it joins the cluster or connects to it. Floor: node, shell."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from ray._core.common import config as configuration
from ray._core.common import messages as m
from ray._core.wire import auth, blocking
from ray._version import VERSION

T = TypeVar("T")
RETRY_S = 0.05
CLUSTER_KEY = ("session", b"cluster")
"""Namespace and key of the GCS's self-description in the key-value table."""


class ClusterFacts(msgspec.Struct):
    """What the GCS says of its cluster."""

    session_name: str
    session_dir: str
    config: str
    version: str
    python: str


class VersionMismatch(RuntimeError):
    """This process is of another version than the cluster."""


def split_address(address: str) -> tuple[str, int]:
    """Raises ValueError for anything but "host:port"."""
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdigit():
        raise ValueError(f'Invalid address: {address!r}. It is "host:port".')
    return host.strip("[]"), int(port)


def open_client(address: str, role: str, timeout_s: float = 10.0) -> blocking.Client:
    """A connection to the GCS at `address`.

    Raises:
        ConnectionError: nobody serves there.
        AuthenticationFailed: tokens differ.
    """
    host, port = split_address(address)
    try:
        sock = blocking.connect_tcp(host, port, auth.load_token(), timeout_s)
    except auth.AuthenticationFailed:
        raise
    except OSError as error:
        raise ConnectionError(f"Could not connect to a Ray cluster at {address}: {error}.") from error
    return blocking.Client(sock, m.Hello(m.PROTOCOL, role, pid=os.getpid(), version=VERSION))


def patiently(ask: Callable[[], T], timeout_s: float | None = None) -> T:
    """What `ask` returns; it is called again while the GCS cannot be reached: one that is started again soon can be.

    Args:
        timeout_s: for how long; None: as the setting says.
    Raises: what `ask` raises; ConnectionError only when the time is over.
    """
    if timeout_s is None:
        timeout_s = configuration.load().gcs_rpc_server_connect_timeout_s
    ends_at_s = time.monotonic() + timeout_s
    is_refused = False
    while True:
        try:
            return ask()
        except auth.AuthenticationFailed:  # once only, and it may have been killed in the middle of the handshake
            if is_refused:
                raise
            is_refused = True
        except ConnectionError:
            if time.monotonic() >= ends_at_s:
                raise
            time.sleep(RETRY_S)


def ask_cluster(client: blocking.Client, timeout_s: float = 10.0) -> ClusterFacts:
    """Raises ConnectionError when no GCS of ours answers."""
    namespace, key = CLUSTER_KEY
    value = client.request(m.KvGet(namespace=namespace, key=key), timeout_s).value
    if value is None:
        raise ConnectionError("The cluster does not describe itself: it runs an older pure-ray.")
    return msgspec.json.decode(value, type=ClusterFacts)


def list_nodes(client: blocking.Client) -> list[m.NodeInfo]:
    nodes: list[m.NodeInfo] = client.request(m.ListNodes()).nodes
    return nodes


def check_versions(facts: ClusterFacts) -> None:
    """Refuse to mix versions: messages and pickles of one need not suit the other. Raises VersionMismatch."""
    python = python_version()
    if (facts.version, facts.python) != (VERSION, python):
        raise VersionMismatch(
            "Version mismatch: The cluster was started with:\n"
            f"    Ray: {facts.version}\n    Python: {facts.python}\n"
            "This process was started with:\n"
            f"    Ray: {VERSION}\n    Python: {python}\n"
            "Install the same versions on all nodes of a cluster."
        )


def python_version() -> str:
    return ".".join(map(str, sys.version_info[:2]))


def is_serving(address: str, timeout_s: float = 2.0) -> bool:
    """Whether a GCS answers at `address`, also one with another token."""
    try:
        with open_client(address, "cli", timeout_s) as client:
            client.request(m.Ping(), timeout_s)
    except auth.AuthenticationFailed:
        return True
    except (OSError, blocking.RemoteError):
        return False
    return True


def wait_for_state(client: blocking.Client, wanted: Any, timeout_s: float) -> list[m.NodeInfo] | None:
    """The nodes, as soon as `wanted(nodes)`; None when the time is over."""
    deadline_at_s, version = time.monotonic() + timeout_s, 0
    while (left_s := deadline_at_s - time.monotonic()) > 0:
        try:
            answer: m.NodeList = client.request(m.ListNodes(after=version), left_s)
        except TimeoutError:
            return None
        if wanted(answer.nodes):
            return answer.nodes
        version = answer.version
    return None
