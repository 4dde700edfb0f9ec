"""Addresses of this machine, under the names that libraries import."""

from __future__ import annotations

import socket


def get_node_ip_address(address: str = "8.8.8.8:53") -> str:
    """The address that packets to `address` would leave from; 127.0.0.1 without a network. Nothing is sent."""
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((host, int(port)))
        except OSError:
            return "127.0.0.1"
        name: tuple[str, int] = sock.getsockname()
        return name[0]
