"""The flags of `ray start`, and what they say as NodeParams.

Source: cluster.md 1.1; Ray docs, "Cluster Management CLI".
"""

from __future__ import annotations

import importlib.util
import json
import socket
from collections.abc import Callable
from typing import Any

import click

from ray._core.node import machine
from ray._core.node.params import NodeParams
from ray.scripts.output import out

DEFAULT_PORT = 6379
CLIENT_SERVER_PORT = 10001
AGENT_PORT = 52365
HEAD_ONLY = {"port": "--port", "redis_shard_ports": "--redis-shard-ports", "include_dashboard": "--include-dashboard"}
HEAD_ONLY |= {"ray_client_server_port": "--ray-client-server-port"}
NOT_YET = {
    "autoscaling_config": "--autoscaling-config",
    "enable_resource_isolation": "--enable-resource-isolation",
    "proxy_server_url": "--proxy-server-url",
    "ray_debugger_external": "--ray-debugger-external",
    "storage": "--storage",
    "tracing_startup_hook": "--tracing-startup-hook",
}
"""Flags whose effect somebody would miss: refused."""
OF_NO_EFFECT = {
    "dashboard_agent_grpc_port": "--dashboard-agent-grpc-port",
    "runtime_env_agent_port": "--runtime-env-agent-port",
}
"""Mostly where servers would listen that are not there yet: told, and otherwise ignored."""


def _flag(*names: str, **attributes: Any) -> Callable[[Any], Any]:
    return click.option(*names, **attributes)


_FLAGS = [
    _flag("--head", is_flag=True, help="Start the head of a new cluster."),
    _flag("--address", help="host:port of the cluster to join; `auto` for the one of this machine."),
    _flag("--port", type=int, help=f"Where the head's GCS listens; default {DEFAULT_PORT}; 0: any free port."),
    _flag("--node-ip-address", help="Under which address other nodes reach this one; default: found out."),
    _flag("--num-cpus", type=int, help="Logical CPUs; default: the cores of the machine."),
    _flag("--num-gpus", type=int, help="Logical GPUs; default: those of the machine."),
    _flag("--resources", default="{}", help='Further resources, JSON: {"name": amount}.'),
    _flag("--object-store-memory", type=int, help="Bytes of shared memory; default: 30 % of what is free."),
    _flag("--memory", type=int, hidden=True, help="Bytes that tasks may ask for with memory=…."),
    _flag("--block", is_flag=True, help="Stay in the foreground; when a process of the node dies, end with status 1."),
    _flag("--labels", default="", help='Labels of the node, "key=value,key=value".'),
    _flag("--labels-file", help="The same in a YAML file.", type=click.Path(exists=True, dir_okay=False)),
    _flag("--node-name", hidden=True, help="Default: the node's address."),
    _flag("--temp-dir", help="Where sessions have their directories; default: /tmp/ray."),
    _flag("--plasma-directory", help="Where the shared-memory file lies; default: /dev/shm."),
    _flag("--node-manager-port", type=int, default=0, help="Where the raylet listens for other nodes; 0: any."),
    _flag("--object-manager-port", type=int, help="The same: one port serves both here."),
    _flag("--min-worker-port", type=int, help="Least port of a worker; default: any."),
    _flag("--max-worker-port", type=int, help="Greatest port of a worker."),
    _flag("--worker-port-list", help="Ports of workers, comma separated, instead of a range."),
    _flag("--system-config", type=str, hidden=True, help="Settings of the cluster, JSON; head only."),
    _flag("--include-dashboard", type=bool, help="Head only. True: now; False: never; else when somebody asks."),
    _flag("--dashboard-host", default="127.0.0.1", help="Where the dashboard listens; default: 127.0.0.1."),
    _flag("--dashboard-port", type=int, help="Default: 8265, or one of the next that is free."),
    _flag("--dashboard-agent-listen-port", type=int, help="Where the node says that it is well; default 52365."),
    _flag("--dashboard-agent-grpc-port", "--dashboard-grpc-port", type=int, help="No effect yet."),
    _flag("--runtime-env-agent-port", type=int, help="No effect yet."),
    _flag("--metrics-export-port", type=int, help="Where the node tells its metrics, at /metrics; default: any."),
    _flag("--ray-client-server-port", type=int, help="Where the head's Ray Client server listens; default 10001."),
    _flag("--object-spilling-directory", help="Where objects go when the shared memory is full."),
    _flag("--autoscaling-config", help="Not available yet."),
    _flag("--ray-debugger-external", is_flag=True, help="Not available yet."),
    _flag("--enable-resource-isolation", is_flag=True, help="Not available yet."),
    _flag("--system-reserved-cpu", type=float, hidden=True),
    _flag("--system-reserved-memory", type=int, hidden=True),
    _flag("--cgroup-path", hidden=True),
    _flag("--proxy-server-url", hidden=True),
    _flag("--tracing-startup-hook", hidden=True),
    _flag("--storage", hidden=True),
    _flag("--redis-address", hidden=True),
    _flag("--redis-username", hidden=True),
    _flag("--redis-password", hidden=True),
    _flag("--redis-shard-ports", hidden=True),
    _flag("--redis-max-memory", type=int, hidden=True),
    _flag("--gcs-server-port", type=int, hidden=True, help="Of another time: use --port."),
    _flag("--plasma-store-socket-name", hidden=True),
    _flag("--raylet-socket-name", hidden=True),
    _flag("--enable-object-reconstruction", is_flag=True, hidden=True),
    _flag("--no-redirect-output", is_flag=True, hidden=True),
    _flag("--no-monitor", is_flag=True, hidden=True),
    _flag("--include-log-monitor", type=bool, hidden=True),
    _flag("--disable-usage-stats", is_flag=True, help="Nothing is ever reported."),
]


def start_options(command: Any) -> Any:
    """Add all flags of `ray start`."""
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command


def check(given: dict[str, Any]) -> None:
    """Raises ClickException for flags that do not go together, or cannot be honoured."""
    if not given["head"] and not given["address"]:
        raise click.ClickException("`--address` is a required flag unless starting a head node with `--head`.")
    if not given["head"]:
        for name, flag in HEAD_ONLY.items():
            if given[name] is not None:
                raise click.ClickException(f"`{flag}` should only be specified when starting head node with `--head`.")
    for name, flag in NOT_YET.items():
        if given[name]:
            raise click.ClickException(f"`{flag}` is not available yet in this version of pure-ray.")


def without_effect(given: dict[str, Any]) -> list[str]:
    """Flags that were given and do nothing yet."""
    return [flag for name, flag in OF_NO_EFFECT.items() if given[name] not in (None, False)]


def node_params(given: dict[str, Any], gcs_address: str | None) -> NodeParams:
    """The node that the flags ask for. Raises ClickException for what cannot be read, ValueError for what cannot be."""
    ip = given["node_ip_address"]
    if ip is None and given["head"]:
        ip = machine.node_ip()
    port = given["port"] if given["port"] is not None else given["gcs_server_port"]
    dashboard: dict[str, Any] = {}
    if given["head"]:
        dashboard["include_dashboard"] = given["include_dashboard"]
        dashboard["dashboard_host"] = "127.0.0.1" if given["dashboard_host"] == "localhost" else given["dashboard_host"]
        dashboard["dashboard_port"] = given["dashboard_port"]
    return NodeParams(
        **dashboard,
        redis_address=given["redis_address"] or (given["address"] if given["head"] else None),
        redis_username=given["redis_username"],
        redis_password=given["redis_password"],
        head=given["head"],
        gcs_address=gcs_address,
        node_ip="127.0.0.1" if ip == "localhost" else ip,
        node_name=given["node_name"],
        gcs_port=DEFAULT_PORT if port is None else port,
        raylet_port=given["node_manager_port"] or given["object_manager_port"] or 0,
        metrics_port=given["metrics_export_port"] or 0,
        agent_port=_agent_port(given),
        client_server_port=_client_server_port(given),
        worker_ports=_worker_ports(given),
        num_cpus=given["num_cpus"],
        num_gpus=given["num_gpus"],
        resources=_json("--resources", given["resources"], '{"CustomResource3": 1, "CustomResource2": 2}'),
        labels=_labels(given),
        object_store_memory=given["object_store_memory"],
        memory=given["memory"],
        temp_dir=given["temp_dir"],
        shm_dir=given["plasma_directory"] or "/dev/shm",
        spill_dir=given["object_spilling_directory"],
        system_config=_json("--system-config", given["system_config"] or "{}", '{"lease_linger_ms": 100}'),
        fate_shared=given["block"],
        durable=True,
    )


def _client_server_port(given: dict[str, Any]) -> int | None:
    """None: no Ray Client server. Where none is asked for, one needs its packages and the usual port to be free."""
    port: int | None = given["ray_client_server_port"]
    if port is not None or not given["head"]:
        return port
    if importlib.util.find_spec("grpc") is None or importlib.util.find_spec("google.protobuf") is None:
        return None
    try:
        socket.create_server(("", CLIENT_SERVER_PORT)).close()
    except OSError as error:
        out.warning(
            f"There will be no Ray Client server: its port {CLIENT_SERVER_PORT} is not free ({error.strerror}). "
            "Choose another one with --ray-client-server-port."
        )
        return None
    return CLIENT_SERVER_PORT


def _agent_port(given: dict[str, Any]) -> int | None:
    """None, where none is asked for, and another node of this machine has the usual one."""
    port: int | None = given["dashboard_agent_listen_port"]
    if port is not None:
        return port
    try:
        socket.create_server(("", AGENT_PORT)).close()
    except OSError:
        return None
    return AGENT_PORT


def _worker_ports(given: dict[str, Any]) -> str:
    if given["worker_port_list"]:
        return str(given["worker_port_list"])
    least, greatest = given["min_worker_port"], given["max_worker_port"]
    if not least and not greatest:
        return ""
    return f"{least or 10002}-{greatest or 19999}"


def _json(flag: str, text: str, example: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError(f"a {type(value).__name__} is no object")
    except ValueError as error:
        raise click.ClickException(
            f"`{flag}={text}` is not a valid JSON string, detail error:{error}\n"
            f"Valid values look like this: `{flag}='{example}'`"
        ) from error
    return value


def _labels(given: dict[str, Any]) -> dict[str, str]:
    labels = _labels_of_file(given["labels_file"]) if given["labels_file"] else {}
    text = given["labels"].strip()
    if text.startswith("{"):
        return labels | _json("--labels", text, '{"region": "here"}')
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise click.ClickException(f"`--labels={text}`: {pair!r} is not of the form key=value.")
        if key.strip() in labels and not given["labels_file"]:
            raise click.ClickException(f"`--labels={text}`: the key {key.strip()!r} is there twice.")
        labels[key.strip()] = value.strip().strip("\"'")
    return labels


def _labels_of_file(path: str) -> dict[str, str]:
    try:
        import yaml
    except ImportError:
        raise click.ClickException("`--labels-file` needs PyYAML: pip install pyyaml.") from None
    with open(path) as file:
        try:
            value = yaml.safe_load(file)
        except yaml.YAMLError as error:
            raise click.ClickException(f"`--labels-file={path}` is no YAML: {error}") from error
    if not isinstance(value, dict):
        raise click.ClickException(f"`--labels-file={path}` holds no mapping of keys to values.")
    return value
