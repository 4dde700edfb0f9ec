"""`ray.init` and `ray.shutdown`: the session of this process."""

from __future__ import annotations

import atexit
import inspect
import logging
import os
import platform
import resource
import signal
import sys
import threading
import uuid
import warnings
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from ray import client_builder
from ray._core.common import log_settings
from ray._core.common import messages as m
from ray._core.node import session_dir
from ray._core.worker import ctrl_c, forked
from ray._core.worker import object_ref as _process
from ray._private import addresses, client_mode_hook, start_options
from ray._private.auto_init_hook import connected_core
from ray._private.logging_config import LoggingConfig, configure_driver, job_logging
from ray._version import COMMIT, VERSION

if TYPE_CHECKING:
    from ray._core.node.node import Node
    from ray._core.node.params import NodeParams
    from ray._core.worker.core import CoreWorker
    from ray._core.worker.driver_log import Bars, DriverLog
    from ray.job_config import JobConfig

log = logging.getLogger("ray")
DESCRIPTORS = 65_536
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
        self.dashboard_url = address_info.get("webui_url") or ""
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
    logging_config: LoggingConfig | None = None,
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
        logging_config: how the root loggers of this process and of the job's workers write; lines of workers then
            appear here without a prefix, since each record says where it comes from.
        log_to_driver: show here what the workers print; default: RAY_LOG_TO_DRIVER, else yes.
    Raises:
        RuntimeError: called twice, or an unknown keyword argument.
        ValueError, TypeError: a wrong value.
        ConnectionError: no cluster there.
        NotImplementedError: an argument that this version cannot honour.
    """
    given = {name: value for name, value in locals().items() if name != "kwargs"}
    elsewhere = client_builder.elsewhere(address)
    if elsewhere is not None:
        chosen = {name: value for name, value in given.items() if name in _DEFAULTS and value != _DEFAULTS[name]}
        context_there: Any = client_builder.init(elsewhere, {**chosen, **kwargs})
        return context_there  # type: ignore[no-any-return]
    start_options.check_names(kwargs)
    if local_mode:
        raise RuntimeError("`local_mode` is no longer supported. Use a debugger in the tasks instead.")
    with _lock:
        if is_initialized():
            return _session_there(ignore_reinit_error)
        return _begin(given, kwargs)


def _begin(given: Mapping[str, Any], hidden: dict[str, Any]) -> RayContext:
    """Begin a session in this process, which has none.

    Args:
        given: the arguments of `init` by name.
        hidden: those whose names begin with an underscore.
    """
    start_options.refuse_given({name: given[name] for name in _REFUSED})
    start_options.check_hidden(hidden)
    namespace, logging_config, job_config = given["namespace"], given["logging_config"], given["job_config"]
    if job_config is not None:
        namespace = namespace if namespace is not None else job_config.ray_namespace
        logging_config = logging_config or job_config.py_logging_config
    _check_namespace(namespace)
    job_env = _JobEnv(given["runtime_env"], job_config)
    configure_driver(given["configure_logging"], given["logging_level"], given["logging_format"])
    logging_of_job = job_logging(logging_config)
    settings = _log_settings(given["log_to_driver"], logging_of_job)
    node, raylet_path = _find_node(given["address"], {**hidden, **{name: given[name] for name in _NODE_SHAPE}})
    namespace = namespace or job_env.namespace or str(uuid.uuid4())
    _connect(node, raylet_path, namespace, settings, job_env, logging_of_job)
    log.info("Started a local Ray instance." if node else "Connected to Ray cluster.")
    return context()


_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(init).parameters.items()
    if parameter.default is not parameter.empty
}
_REFUSED = ("enable_resource_isolation", "proxy_server_url")
"""Arguments of `init` that this version cannot honour."""
_NODE_SHAPE = (
    *("num_cpus", "num_gpus", "resources", "labels", "object_store_memory"),
    *("include_dashboard", "dashboard_host", "dashboard_port"),
)
"""Arguments of `init` that say what a new node is to be; whoever joins a cluster must not give them."""


def _session_there(ignore_reinit_error: bool) -> RayContext:
    """`init` was called in a process that has a session."""
    if ignore_reinit_error and client_mode_hook.client_here() is None:
        return context()
    raise RuntimeError(
        "Maybe you called ray.init twice by accident? This error can be suppressed by passing in "
        "'ignore_reinit_error=True' or by calling 'ray.shutdown()' prior to 'ray.init()'."
    )


def _log_settings(log_to_driver: bool | None, logging_of_job: str) -> log_settings.LogSettings:
    """How this driver shows what its workers print."""
    settings = log_settings.load()
    if log_to_driver is not None:
        settings = msgspec.structs.replace(settings, to_driver=log_to_driver)
    if logging_of_job:  # each record says where it comes from
        settings = msgspec.structs.replace(settings, prefix=False)
    return settings


def _find_node(address: str | None, shape: dict[str, Any]) -> tuple[Node | None, str]:
    """The node that this process will use, by its raylet's socket; started here if there is no cluster to join."""
    cluster = addresses.find(address, session_dir.temp_dir(shape.get("_temp_dir")))
    if cluster is None:
        node = _start_node(start_options.head_params(shape))
        return node, node.raylet_socket_name
    start_options.check_joining(shape)
    log.info("Connecting to existing Ray cluster at address: %s...", cluster.address)
    return None, addresses.local_raylet(cluster, shape.get("_node_ip_address"))


class _JobEnv:
    """What the driver, and whoever submitted its job, want of the job: environment and metadata."""

    def __init__(self, runtime_env: Mapping[str, Any] | None, job_config: JobConfig | None) -> None:
        own = runtime_env if runtime_env is not None or job_config is None else job_config.runtime_env
        submitted = os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or os.environ.get("RAY_RUNTIME_ENV_HOOK")
        submitted = submitted or os.environ.get("UV_RUN_RECURSION_DEPTH")  # which uv sets for what it runs
        self.fields: dict[str, Any] = {}
        self.metadata = dict(job_config.metadata) if job_config is not None else {}
        self.namespace: str | None = None
        self.detached_actors = job_config is not None and job_config.default_actor_lifetime == "detached"
        self.keeps_lineage = job_config is None or not job_config._disable_job_level_lineage_reconstruction
        self.code_paths = [] if job_config is None else job_config.code_search_path + job_config._py_driver_sys_path
        if own or submitted:  # imported only then: a session without an environment starts faster
            from ray._private.runtime_env import job_env

            self.fields = job_env.job_environment(own)
            told = job_env.submitted_config()
            self.metadata |= told.get("metadata") or {}
            self.namespace = told.get("ray_namespace")

    def upload(self, core: CoreWorker) -> str:
        """Make it available to the cluster; the environment as JSON."""
        if not self.fields:
            return ""
        from ray._private.runtime_env import job_env

        return job_env.upload(self.fields, job_env.cluster_store(core), job_env.function_store(core))


def _connect(
    node: Node | None,
    raylet_path: str,
    namespace: str,
    settings: log_settings.LogSettings,
    job_env: _JobEnv,
    logging_of_job: str,
) -> None:
    from ray._core.worker import core
    from ray._core.worker.driver_log import DriverLog

    try:
        forked.parent = 0
        driver = core.connect_driver(raylet_path, namespace, job_env.upload, job_env.metadata)
        driver.use_logging(logging_of_job)
        driver.detached_actors, driver.keeps_lineage = job_env.detached_actors, job_env.keeps_lineage
        driver.code_paths = [*driver.code_paths, *job_env.code_paths]
        if settings.to_driver:
            session.driver_log = DriverLog(driver, settings, _progress_bars)
            session.driver_log.start()
    except BaseException:
        if node is not None:
            node.stop()
        raise
    session.node, session.namespace = node, namespace
    atexit.register(shutdown)
    _raise_descriptor_limit()
    if threading.current_thread() is threading.main_thread():
        ctrl_c.install()
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that atexit runs


def _raise_descriptor_limit() -> None:
    """A driver has a connection to each worker it leases; the usual soft limit of 1,024 is soon reached."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _forget_in_child() -> None:
    """A forked child must not end its parent's node when it exits."""
    session.node, session.driver_log, session.namespace = None, None, ""
    atexit.unregister(shutdown)


os.register_at_fork(after_in_child=_forget_in_child)


def _progress_bars() -> Bars:
    from ray.experimental import tqdm_ray

    return tqdm_ray.instance()


def _start_node(params: NodeParams) -> Node:
    from ray._core.node.node import Node

    node = Node(params)
    with addresses.authentication_told():
        node.start()
    return node


def shutdown(*, wait_for_processes: bool = False, _exiting_interpreter: bool = False) -> None:
    """End the session: disconnect, and stop what `init` started. Again: nothing.

    Args:
        wait_for_processes: nothing to choose here: the processes have always ended when this returns.
    """
    if (client := client_mode_hook.client_here()) is not None:
        client.disconnect()
        return
    with _lock:
        core, node, driver_log = _process._core, session.node, session.driver_log
        session.node, session.driver_log, session.namespace = None, None, ""
        atexit.unregister(shutdown)
        ctrl_c.uninstall()
        try:
            if driver_log is not None:
                driver_log.stop()
            if core is not None and core.mode == "driver":
                core.shutdown(node_stays=node is None)
        finally:
            if node is not None:
                node.stop()


def is_initialized() -> bool:
    """Whether this process has a session; workers always have."""
    if (client := client_mode_hook.client_here()) is not None:
        return bool(client.is_initialized())
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
            "webui_url": (core.ask_gcs(m.KvGet(namespace="dashboard", key=b"dashboard")).value or b"").decode(),
            "session_dir": node.session_dir,
            "metrics_export_port": node.metrics_port,
            "gcs_address": core.gcs_address,
            "address": core.gcs_address,
            "dashboard_agent_listen_port": node.agent_port,
            "node_id": node.node_id.hex(),
        }
    )


# ------------------------------------------------------------------ checks


def _check_namespace(namespace: str | None) -> None:
    if namespace is not None and not isinstance(namespace, str):
        raise TypeError("namespace must be None or a string.")
    if namespace == "":
        raise ValueError('"" is not a valid namespace. Pass None to not specify a namespace.')
