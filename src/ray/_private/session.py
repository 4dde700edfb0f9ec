"""`ray.init` and `ray.shutdown`: the session of this process."""

from __future__ import annotations

import atexit
import logging
import os
import platform
import signal
import sys
import threading
import uuid
import warnings
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from ray._core.common import log_settings
from ray._core.worker import object_ref as _process
from ray._private import addresses
from ray._private.auto_init_hook import connected_core
from ray._private.not_yet import refuse
from ray._private.options import check_amount
from ray._version import COMMIT, VERSION

if TYPE_CHECKING:
    from ray._core.node.node import Node
    from ray._core.worker.driver_log import DriverLog
    from ray.job_config import JobConfig

log = logging.getLogger("ray")
LEAST_STORE = 75 * 1024 * 1024
"""Bytes: a smaller object store could not even hold the slabs of a few processes."""
_HIDDEN = ("_system_config", "_temp_dir", "_enable_object_reconstruction", "_skip_env_hook", "_redis_password")
"""Keyword arguments that are taken besides those of the signature; lineage reconstruction has no switch any more."""
_HIDDEN_NOT_YET = (
    "_node_ip_address",
    "_node_name",
    "_memory",
    "_redis_username",
    "_metrics_export_port",
    "_tracing_startup_hook",
    "_plasma_directory",
    "object_spilling_directory",
    "_driver_object_store_memory",
)
_lock = threading.RLock()


class _Session:
    """What `init` remembers for `shutdown`; `node` is None when it joined a cluster."""

    node: Node | None = None
    driver_log: DriverLog | None = None
    namespace: str = ""


session = _Session()


class RayContext(Mapping[str, Any]):
    """Where the session is. As a context manager it ends the session; `ctx["node_id"]` is the old way to look."""

    def __init__(self, address_info: dict[str, Any]) -> None:
        self.address_info = address_info
        self.dashboard_url = ""
        self.python_version = platform.python_version()
        self.ray_version = VERSION
        self.ray_commit = COMMIT

    def __getitem__(self, key: str) -> Any:
        warnings.warn(
            f'Use ray.init().address_info["{key}"] instead of ray.init()["{key}"].', DeprecationWarning, stacklevel=2
        )
        return self.address_info[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.address_info)

    def __len__(self) -> int:
        return len(self.address_info)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.disconnect()

    def disconnect(self) -> None:
        shutdown()

    def __repr__(self) -> str:
        return (
            f"RayContext(dashboard_url={self.dashboard_url!r}, python_version={self.python_version!r}, "
            f"ray_version={self.ray_version!r}, ray_commit={self.ray_commit!r})"
        )


def init(
    address: str | None = None,
    *,
    num_cpus: int | None = None,
    num_gpus: int | None = None,
    resources: dict[str, float] | None = None,
    labels: dict[str, str] | None = None,
    object_store_memory: int | None = None,
    local_mode: bool = False,
    ignore_reinit_error: bool = False,
    include_dashboard: bool | None = None,
    dashboard_host: str = "127.0.0.1",
    dashboard_port: int | None = None,
    job_config: JobConfig | None = None,
    configure_logging: bool = True,
    logging_level: int | str = logging.INFO,
    logging_format: str | None = None,
    logging_config: Any = None,
    log_to_driver: bool | None = None,
    namespace: str | None = None,
    runtime_env: Mapping[str, Any] | None = None,
    enable_resource_isolation: bool = False,
    cgroup_path: str | None = None,
    system_reserved_cpu: float | None = None,
    system_reserved_memory: int | None = None,
    proxy_server_url: str | None = None,
    **kwargs: Any,
) -> RayContext:
    """Connect this process to a cluster: to a running one, or to one that starts here and ends with the process.

    Args:
        address: None: RAY_ADDRESS, else the cluster that `ray start` started here, else a new local one.
            "local": always a new one. "auto": never. "host:port": that one; it needs a node on this machine.
        num_cpus: logical CPUs of a new node; default: the cores this process may use.
        num_gpus: logical GPUs.
        resources: other logical resources by name, whole numbers.
        object_store_memory: bytes of shared memory; default 30 % of the machine's.
        ignore_reinit_error: calling again is no error.
        namespace: of named actors; default: a random one.
        logging_level: of the logger "ray" in this process.
        log_to_driver: show here what the workers print; default: RAY_LOG_TO_DRIVER, else yes.
    Raises:
        RuntimeError: called twice, or an unknown keyword argument.
        ValueError, TypeError: a wrong value.
        ConnectionError: no cluster there.
        NotImplementedError: an argument that this version cannot honour.
    """
    unknown = sorted(set(kwargs) - set(_HIDDEN) - set(_HIDDEN_NOT_YET))
    if unknown:
        raise RuntimeError(f"Unknown keyword argument(s): {', '.join(unknown)}")
    if local_mode:
        raise RuntimeError("`local_mode` is no longer supported. Use a debugger in the tasks instead.")
    with _lock:
        if is_initialized():
            if ignore_reinit_error:
                return context()
            raise RuntimeError(
                "Maybe you called ray.init twice by accident? This error can be suppressed by passing in "
                "'ignore_reinit_error=True' or by calling 'ray.shutdown()' prior to 'ray.init()'."
            )
        if job_config is not None and namespace is None:
            namespace = job_config.ray_namespace
        _refuse_not_yet(
            {
                **{name: kwargs.get(name) for name in _HIDDEN_NOT_YET if name != "_node_name"},
                "logging_config": logging_config,
                "enable_resource_isolation": enable_resource_isolation,
                "proxy_server_url": proxy_server_url,
                "runtime_env": runtime_env or (job_config.runtime_env if job_config else None),
                "metadata of job_config": job_config.metadata if job_config else None,
            }
        )
        _check_namespace(namespace)
        system_config, temp = kwargs.get("_system_config"), kwargs.get("_temp_dir")
        if system_config is not None and not isinstance(system_config, dict):
            raise TypeError("The _system_config must be a dict.")
        if temp is not None and not os.path.isabs(temp):
            raise ValueError("temp_dir must be absolute path or None.")
        _configure_logging(configure_logging, logging_level, logging_format)
        settings = log_settings.load()
        if log_to_driver is not None:
            settings = msgspec.structs.replace(settings, to_driver=log_to_driver)
        cluster = addresses.find(address, addresses.temp_dir(temp))
        if cluster is None:
            _refuse_not_yet({"labels": labels, "_node_name": kwargs.get("_node_name")})
            amounts = _amounts(num_cpus, num_gpus, resources)
            _check_store(object_store_memory)
            node = _start_node(amounts, object_store_memory, system_config, temp)
            raylet_path = node.raylet_path
        else:
            _check_join(
                num_cpus=num_cpus,
                num_gpus=num_gpus,
                resources=resources,
                labels=labels,
                _node_name=kwargs.get("_node_name"),
                object_store_memory=object_store_memory,
                _system_config=system_config,
                _enable_object_reconstruction=kwargs.get("_enable_object_reconstruction"),
            )
            node, raylet_path = None, addresses.local_raylet(cluster)
        _connect(node, raylet_path, namespace or str(uuid.uuid4()), settings)
        log.info("Started a local Ray instance." if node else "Connected to Ray cluster.")
        if include_dashboard or dashboard_port is not None:
            log.warning("There is no dashboard in this version of pure-ray yet.")
        return context()


def _connect(node: Node | None, raylet_path: str, namespace: str, settings: log_settings.LogSettings) -> None:
    from ray._core.worker import core
    from ray._core.worker.driver_log import DriverLog

    try:
        driver = core.connect_driver(raylet_path, namespace)
        if settings.to_driver:
            session.driver_log = DriverLog(driver, settings)
            session.driver_log.start()
    except BaseException:
        if node is not None:
            node.stop()
        raise
    session.node, session.namespace = node, namespace
    atexit.register(shutdown)
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that atexit runs


def _start_node(
    amounts: dict[str, float], store: int | None, system_config: dict[str, Any] | None, temp: str | None
) -> Node:
    from ray._core.node.node import Node

    node = Node(amounts, store, system_config, temp)
    node.start()
    return node


def shutdown(*, wait_for_processes: bool = False, _exiting_interpreter: bool = False) -> None:
    """End the session: disconnect, and stop what `init` started. Again: nothing.

    Args:
        wait_for_processes: nothing to choose here: the processes have always ended when this returns.
    """
    with _lock:
        core, node, driver_log = _process._core, session.node, session.driver_log
        session.node, session.driver_log, session.namespace = None, None, ""
        atexit.unregister(shutdown)
        try:
            if driver_log is not None:
                driver_log.stop()
            if core is not None and core.mode == "driver":
                core.shutdown()
        finally:
            if node is not None:
                node.stop()


def is_initialized() -> bool:
    """Whether this process has a session; workers always have."""
    return _process._core is not None


def context() -> RayContext:
    """Where this session is. Raises RaySystemError when there is none."""
    core = connected_core()
    node = core.node
    return RayContext(
        {
            "node_ip_address": node.host,
            "redis_address": None,
            "object_store_address": node.arena_path,
            "raylet_socket_name": node.raylet_path,
            "webui_url": "",
            "session_dir": node.session_dir,
            "metrics_export_port": node.metrics_port,
            "gcs_address": core.gcs_address,
            "address": core.gcs_address,
            "dashboard_agent_listen_port": node.agent_port,
            "node_id": node.node_id.hex(),
        }
    )


# ------------------------------------------------------------------ checks


def _refuse_not_yet(given: Mapping[str, Any]) -> None:
    refuse(next((f"ray.init with {name}={value!r}" for name, value in given.items() if value), None))


def _check_namespace(namespace: str | None) -> None:
    if namespace is not None and not isinstance(namespace, str):
        raise TypeError("namespace must be None or a string.")
    if namespace == "":
        raise ValueError('"" is not a valid namespace. Pass None to not specify a namespace.')


def _check_join(**given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"When connecting to an existing cluster, {name} must not be provided: its nodes are there already."
            )


def _check_store(size: int | None) -> None:
    if size is not None and size < LEAST_STORE:
        raise ValueError(f"object_store_memory={size} bytes is below the least allowed, {LEAST_STORE} bytes.")


def _amounts(num_cpus: float | None, num_gpus: float | None, resources: Mapping[str, float] | None) -> dict[str, float]:
    """What the new node has."""
    amounts: dict[str, float] = dict(resources or {})
    for name in ("CPU", "GPU"):
        if name in amounts:
            raise ValueError(f"Use num_{name.lower()}s instead of {name!r} in 'resources'.")
    amounts["CPU"] = len(os.sched_getaffinity(0)) if num_cpus is None else num_cpus
    amounts["GPU"] = num_gpus or 0
    for name, amount in amounts.items():
        if isinstance(amount, (int, float)) and amount < 0:
            raise ValueError(f"The resources of a node must be nonnegative; {name} is {amount}.")
        check_amount(name, amount)
        if amount != int(amount):
            raise ValueError(f"The resources of a node must all be whole numbers; {name} is {amount}.")
    return amounts | {"node:127.0.0.1": 1.0, "node:__internal_head__": 1.0}


def _configure_logging(wanted: bool, level: int | str, pattern: str | None) -> None:
    """Give the logger "ray" of this process a handler and a level, or take its handlers away."""
    if not wanted:
        log.handlers.clear()
        return
    log.setLevel(level.upper() if isinstance(level, str) else level)
    if not log.handlers:
        log.addHandler(logging.StreamHandler())
        log.propagate = False
    pattern = pattern or "%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s"
    for handler in log.handlers:
        handler.setFormatter(logging.Formatter(pattern))
