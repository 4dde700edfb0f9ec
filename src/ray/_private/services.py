"""Addresses of this machine, under the names that libraries import."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from ray._core.worker import object_ref
from ray._private.not_included import absent_names


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


def get_ray_address_from_environment(addr: str | None, temp_dir: str | None) -> str | None:
    """The cluster that this address means here: as `ray.init`; None for one that is still to be started."""
    from ray._core.node import session_dir
    from ray._private import addresses

    try:
        found = addresses.find(addr, session_dir.temp_dir(temp_dir))
    except ConnectionError:
        return None
    return None if found is None else found.address


def canonicalize_bootstrap_address(addr: str | None, temp_dir: str | None = None) -> str | None:
    """The address "host:port" of the GCS that `addr` means; a loopback host becomes this node's address."""
    if addr is None or addr == "auto":
        addr = get_ray_address_from_environment(addr, temp_dir)
    if addr is None or addr == "local":
        return None
    host, port = extract_ip_port(addr)
    return f"{resolve_ip_for_localhost(host)}:{port}"


def canonicalize_bootstrap_address_or_die(addr: str | None, temp_dir: str | None = None) -> str:
    """The same. Raises ConnectionError when there is no such cluster."""
    found = canonicalize_bootstrap_address(addr, temp_dir)
    if found is None:
        raise ConnectionError(
            "Could not find any running Ray instance. Please specify the one to connect to by setting `--address` "
            "flag or `RAY_ADDRESS` environment variable."
        )
    return found


def extract_ip_port(bootstrap_address: str) -> tuple[str, int]:
    """("host", port) of "host:port". Raises ValueError."""
    from ray._core.node.membership import split_address

    host, port = split_address(bootstrap_address)
    if not 1024 <= port <= 65535:
        raise ValueError(f"Invalid address port {port}. Must be between 1024 and 65535 (inclusive).")
    return host, port


def resolve_ip_for_localhost(host: str) -> str:
    """This node's address for a loopback name; else `host` itself."""
    return get_node_ip_address() if host in ("localhost", "127.0.0.1", "::1") else host


def remaining_processes_alive() -> bool:
    """Whether no process that `ray.init` started has ended by itself. Raises RaySystemError before `ray.init`."""
    from ray._private.auto_init_hook import connected_core
    from ray._private.session import session

    connected_core()
    return session.node is None or session.node.remaining_processes_alive()


def get_webui_url_from_internal_kv() -> str | None:
    """host:port of the dashboard; None without one."""
    from ray.experimental.internal_kv import _internal_kv_get

    url = _internal_kv_get("dashboard", namespace="dashboard")
    return url.decode() if url else None


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "Nodes are started by ray.cluster_utils.Cluster.",
        "ConsolePopen create_redis_client get_node get_node_to_connect_for_driver get_node_with_retry "
        "start_api_server start_gcs_server start_log_monitor start_monitor start_ray_client_server "
        "start_ray_process start_raylet start_reaper wait_for_node DEFAULT_WORKER_EXECUTABLE ProcessInfo "
        "RAYLET_EXECUTABLE "
        "_build_python_executable_command_memory_profileable build_cpp_worker_command build_java_worker_command "
        "find_bootstrap_address find_gcs_addresses get_address propagate_jemalloc_env_var",
    )
