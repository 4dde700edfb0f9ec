"""Addresses of this machine, under the names that libraries import."""

from __future__ import annotations

import os
import socket

from ray._core.worker import object_ref


def get_node_ip_address(address: str | None = None) -> str:
    """This node's address, as the cluster knows it.

    Without a session: the address that packets to `address` would leave from; 127.0.0.1 without a network. Nothing
    is sent.

    Args:
        address: "host:port"; default: somewhere in the internet.
    """
    if address is None and object_ref._core is not None:
        return object_ref._core.node.host
    host, _, port = (address or "8.8.8.8:53").rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((host, int(port)))
        except OSError:
            return "127.0.0.1"
        name: tuple[str, int] = sock.getsockname()
        return name[0]


def get_node_instance_id() -> str:
    """What the autoscaler calls this machine; "" if it did not start it."""
    return os.environ.get("RAY_CLOUD_INSTANCE_ID", "")
