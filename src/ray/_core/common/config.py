"""Every setting of the engine, typed, in one object; the sole reader of the environment.

Floor: common. A setting `foo` is given, from weakest to strongest, by its default here, by the variable `RAY_foo`
of the process that starts the node, and by `_system_config={"foo": …}` of the head, which every node and worker
of the cluster then receives (`Config.overrides`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

import msgspec

from ray._core.common.ray_settings import ONLY_ENVIRONMENT, WITHOUT_EFFECT

logger = logging.getLogger(__name__)
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Names are Ray's where Ray has the setting. Times end in `_ms` or `_s`, sizes in bytes."""

    # Objects
    max_direct_call_object_size: int = 100 * 1024
    """Values up to this size live with their owner and travel inline; larger ones live in the arena."""
    slab_size: int = 8 * 1024 * 1024
    """What a process asks of the arena at a time; objects above half of it get an extent of their own."""
    fetch_chunk_size: int = 4 * 1024 * 1024
    max_lineage_bytes: int = 1_000_000_000
    free_memory_kept_s: float = 10.0
    """Free shared memory goes back to the system after this; until then it is fast to write to."""

    # Spilling
    automatic_object_spilling_enabled: bool = True
    object_spilling_config: str = ""
    """JSON: {"type": "filesystem" or "smart_open", "params": …}; "": files in the session directory."""
    object_spilling_directory: str = ""
    object_spilling_threshold: float = 0.8
    """Share of the shared memory in use above which objects go to disk before somebody waits for room."""
    min_spilling_size: int = 100 * 1024 * 1024
    """Bytes that are written together, if there are as many."""
    max_fused_object_count: int = 2000
    max_io_workers: int = 4
    object_store_full_timeout_s: float = 10.0
    """How long a put waits for room before ObjectStoreFullError."""

    allow_out_of_band_object_ref_serialization: bool = True
    """Whether a ref may be pickled outside of tasks, actors and `put`: its object then stays for good."""

    # Leases and workers
    lease_linger_ms: int = 250
    """How long an owner keeps a lease without work, unless the raylet revokes it for somebody who waits."""
    pipeline_target_ms: float = 2.0
    """A worker's queue is filled with about this much work, as the durations seen so far predict."""
    pipeline_max_depth: int = 256
    blocked_grace_ms: float = 1.0
    """A `get` that ends sooner tells nobody that its worker is blocked."""
    num_workers_soft_limit: int = -1
    """Idle workers kept; -1: as many as the node has CPUs."""
    idle_worker_killing_time_threshold_ms: int = 1000
    worker_register_timeout_seconds: int = 60
    enable_worker_prestart: bool = True
    """Workers are started before anybody asks for one."""
    preload_python_modules: list[str] = []
    """Modules which the zygote imports once for all workers; those that cannot be imported are told in its log."""

    runtime_env_skip_local_gc: bool = False
    """Runtime environments stay on their nodes when nothing uses them, however much room they take."""

    # Memory
    local_gc_interval_s: float = 90 * 60
    """How often every process looks for refs in reference cycles, if nothing asks for it before."""
    local_gc_min_interval_s: float = 10
    """Those of one node do so at most this often."""
    global_gc_min_interval_s: float = 30
    """A raylet that runs short of memory asks all nodes for it at most this often."""
    memory_monitor_refresh_ms: int = 250
    """How often the machine's memory is looked at; 0: never."""
    memory_usage_threshold: float = 0.95
    """Share of the memory in use above which work is ended."""
    task_oom_retries: int = -1
    """How often a task that was ended so runs again besides its other retries; -1: always."""
    task_oom_retry_delay_base_ms: int = 1000
    """Before the first such retry; each further one waits twice as long, up to a minute."""
    actor_excess_queueing_warn_threshold: int = 5000
    """So many calls that an actor has not answered are worth a warning to the driver of who made them."""

    # Scheduling
    scheduler_spread_threshold: float = 0.5
    scheduler_top_k_fraction: float = 0.2
    scheduler_top_k_absolute: int = 1
    scheduler_avoid_gpu_nodes: bool = True
    resource_report_interval_ms: int = 10
    """Reports of a raylet, and the GCS's batches of them to all, come at most this often; or 1 ms per node, if more."""
    infeasible_warning_s: float = 5.0

    # Telling
    waiting_report_s: float = 10.0
    """A wait of a driver (`ray.get`, `ray.wait`, a generator, a placement group) that takes so long is explained on it,
    and again after twice, four times … as long; 0: never."""

    # State API
    task_events_report_interval_ms: int = 1000
    """How often owners tell the GCS which tasks have ended; 0: never."""
    task_events_max_num_task_in_gcs: int = 100_000

    # Health, reconnection, shutdown
    health_check_period_ms: int = 3000
    health_check_timeout_ms: int = 10_000
    health_check_initial_delay_ms: int = 5000
    health_check_failure_threshold: int = 5
    gcs_peer_reconnect_grace_s: float = -1.0
    """How long a raylet, driver or worker whose process lives may take to come back to the GCS after its connection
    broke; -1: as long as a node may leave the health checks unanswered."""
    gcs_server_request_timeout_seconds: int = 60
    """How long an answer of the GCS is waited for; it may take that long while the GCS is away."""
    gcs_rpc_server_connect_timeout_s: int = 5
    """How long a joining node or driver tries to reach the GCS: one that is started again right now is waited for."""
    gcs_rpc_server_reconnect_timeout_s: int = 60
    """How long everybody tries to reach a GCS that is away, and how long a restarted GCS waits for them."""
    gcs_storage: str = ""
    """Where the GCS keeps its tables: memory, sqlite, redis; "": sqlite for `ray start`, memory for `ray.init`."""
    external_storage_namespace: str = "default"
    """Keeps the clusters on one Redis apart."""
    graceful_shutdown_timeout_s: float = 5.0
    start_timeout_s: float = 30.0

    # Security
    enable_token_auth: bool = True

    def encode(self) -> str:
        """JSON of the settings that differ from the defaults, as handed to child processes."""
        default = Config()
        changed = {n: v for n in Config.__struct_fields__ if (v := getattr(self, n)) != getattr(default, n)}
        return msgspec.json.encode(changed).decode()


ALSO_CALLED = {"preload_python_modules": ("RAY_PRELOAD_MODULES",)}
"""Further variables for a setting, besides RAY_<name>."""


def load(overrides: Mapping[str, Any] | str = "", environ: Mapping[str, str] = os.environ) -> Config:
    """The settings of this process.

    Args:
        overrides: `_system_config`: a mapping, or its JSON.
        environ: where `RAY_<name>` is looked up.
    Raises:
        ValueError: an unknown name in `overrides`, or a value that is not of the setting's type; the text names
            setting, value and source.
        RuntimeError: what only the environment may set.
    """
    if isinstance(overrides, str):
        overrides = msgspec.json.decode(overrides or "{}")
        assert isinstance(overrides, dict)
    types = Config.__annotations__
    for name in sorted(ONLY_ENVIRONMENT & set(overrides)):
        raise RuntimeError(f"{name} can only be set by the variable RAY_{name.upper()}, not in _system_config.")
    ignored = sorted((set(overrides) & WITHOUT_EFFECT) - set(types))
    if ignored:
        logger.warning("These settings of Ray have no effect in pure-ray: %s.", ", ".join(ignored))
    unknown = sorted(set(overrides) - set(types) - WITHOUT_EFFECT)
    if unknown:
        raise ValueError(
            f"_system_config has no setting {', '.join(unknown)}. Known settings: {', '.join(sorted(types))}."
        )
    values: dict[str, Any] = {}
    for name, type_name in types.items():
        if name in overrides:
            values[name] = _parse(name, overrides[name], type_name, "_system_config")
            continue
        for variable in (f"RAY_{name}", *ALSO_CALLED.get(name, ())):
            if (text := environ.get(variable)) is not None:
                values[name] = _parse(name, text, type_name, f"the variable {variable}")
                break
    return Config(**values)


def _parse(name: str, value: Any, type_name: str, source: str) -> Any:
    try:
        if type_name == "bool" and not isinstance(value, bool):
            lowered = str(value).lower()
            if lowered not in _TRUE | _FALSE:
                raise ValueError(lowered)
            return lowered in _TRUE
        if type_name == "list[str]":
            return [part for part in value.split(",") if part] if isinstance(value, str) else [str(v) for v in value]
        return {"int": int, "float": float, "str": str, "bool": bool}[type_name](value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}={value!r} from {source} is not of type {type_name}.") from None
