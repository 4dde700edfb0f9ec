"""Network addresses as texts."""

from __future__ import annotations

import contextlib
import ipaddress
import socket

from ray._private.services import get_node_ip_address


def build_address(host: str, port: int | str) -> str:
    """ "host:port"; an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_address(address: str) -> tuple[str, str] | None:
    """(host, port) of "host:port" or "[IPv6]:port"; None for what is neither."""
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    return (host, port) if colon and host and port else None


def is_ipv6(host: str) -> bool:
    """Whether `host` is, or resolves to, an IPv6 address only."""
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        pass
    try:
        families = {info[0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return socket.AF_INET6 in families and socket.AF_INET not in families


def is_localhost(host: str) -> bool:
    """Whether `host` names this machine's loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def get_localhost_ip() -> str:
    """ "127.0.0.1", or "::1" on a machine that has IPv6 alone."""
    return "::1" if is_ipv6("localhost") else "127.0.0.1"


def get_all_interfaces_ip() -> str:
    """What to bind to for all interfaces."""
    return "::" if is_ipv6("localhost") else "0.0.0.0"


def node_ip_address_from_perspective(address: str | None = None) -> str:
    """This machine's address as whoever is at `address` would reach it."""
    return get_node_ip_address(address)


def find_free_port(family: socket.AddressFamily = socket.AF_INET) -> int:
    """A TCP port that nobody listened on a moment ago."""
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as sock:
        sock.bind(("", 0))
        port: int = sock.getsockname()[1]
        return port
