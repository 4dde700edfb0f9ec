"""Helpers that Ray's own tests and third parties' import from here.

Those of one subject are in modules of their own (`cluster_tests`, `process_tests`, …); here is the rest.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import ray
from ray._common.network_utils import find_free_port, parse_address
from ray._common.test_utils import (
    DEFAULT_DRIVER_TIMEOUT_SECONDS,
    KILLED_DRIVER_DRAIN_TIMEOUT_SECONDS,
    Semaphore,
    SignalActor,
    async_wait_for_condition,
    run_string_as_driver,
    wait_for_condition,
)
from ray._private.cluster_tests import (
    check_local_files_gced,
    check_spilled_mb,
    convert_actor_state,
    get_actor_node_id,
    get_load_metrics_report,
    get_non_head_nodes,
    get_other_nodes,
    is_placement_group_removed,
    kill_actor_and_wait_for_failure,
    kill_raylet,
    make_global_state_accessor,
    no_resource_leaks_excluding_node_resources,
    object_memory_usage,
    placement_group_assert_no_leak,
    wait_for_num_actors,
)
from ray._private.gcs_pubsub import GcsErrorSubscriber, GcsLogSubscriber
from ray._private.metric_tests import (
    MetricSamplePattern,
    PrometheusTimeseries,
    fetch_prometheus_metric_timeseries,
    fetch_prometheus_timeseries,
    get_metric_check_condition,
    raw_metric_timeseries,
)
from ray._private.not_included import absent_names
from ray._private.process_tests import (
    check_call_ray,
    check_call_subprocess,
    kill_process_by_name,
    kill_processes,
    run_string_as_driver_nonblocking,
    run_string_as_driver_stdout_stderr,
    wait_for_children_of_pid,
    wait_for_children_of_pid_to_exit,
    wait_for_pid_to_exit,
)
from ray._private.pubsub_tests import (
    get_error_message,
    get_log_batch,
    get_log_data,
    get_log_message,
    get_log_sources,
    init_error_pubsub,
    init_log_pubsub,
)
from ray._private.service_tests import get_redis_cli, setup_tls, start_redis_instance, teardown_tls
from ray._private.waiting_tests import (
    wait_for_assertion,
    wait_until_server_available,
    wait_until_succeeded_without_exception,
)
from ray.util.queue import Empty, Queue, _QueueActor

_KILLERS = (
    *("NodeKillerBase", "RayletKiller", "ResourceKillerActor", "WorkerKillerActor"),
    "get_and_run_resource_killer",
)
EXE_SUFFIX = ""


class _BatchQueueActor(_QueueActor):
    async def get_batch(self, batch_size: int, total_timeout: float | None, first_timeout: float | None) -> list[Any]:
        """Items until there are `batch_size`, or the time is over; the first one has a time of its own."""
        batch = [await self.get(first_timeout)]
        end_at_s = None if total_timeout is None else time.monotonic() + total_timeout
        while len(batch) < batch_size:
            left_s = None if end_at_s is None else max(end_at_s - time.monotonic(), 0)
            try:
                batch.append(await self.get(left_s))
            except Empty:
                break
        return batch


class BatchQueue(Queue):
    """A queue that gives several items at once."""

    def __init__(self, maxsize: int = 0, actor_options: dict[str, Any] | None = None) -> None:
        self.maxsize = maxsize
        self.actor = ray.remote(_BatchQueueActor).options(**(actor_options or {})).remote(maxsize)

    def get_batch(
        self, batch_size: int | None = None, total_timeout: float | None = None, first_timeout: float | None = None
    ) -> list[Any]:
        """At least one item.

        Args:
            batch_size: at most; default: 1.
            total_timeout: seconds to wait for the rest; None: no limit.
            first_timeout: seconds to wait for the first.
        Raises:
            Empty: the first did not come in time.
        """
        batch: list[Any] = ray.get(self.actor.get_batch.remote(batch_size or 1, total_timeout, first_timeout))
        return batch


def put_object(obj: Any, use_ray_put: bool) -> Any:
    """A ref to `obj`: by `ray.put`, or as the result of a task."""
    return ray.put(obj) if use_ray_put else ray.remote(lambda: obj).remote()


def generate_runtime_env_dict(field: str, spec_format: str, tmp_path: Any, pip_list: Any = None) -> dict[str, Any]:
    """A runtime environment with `field` "pip" or "conda", as a "file" in `tmp_path` or as a "python_object"."""
    wanted = pip_list or ["pip-install-test==0.5"]
    if field == "pip":
        if spec_format != "file":
            return {"pip": wanted}
        path = os.path.join(tmp_path, "requirements.txt")
        text = "\n".join(wanted)
    elif field == "conda":
        conda = {"dependencies": ["pip", {"pip": wanted}]}
        if spec_format != "file":
            return {"conda": conda}
        path = os.path.join(tmp_path, "environment.yml")
        text = json.dumps(conda)  # which is YAML
    else:
        raise ValueError(f"field is 'pip' or 'conda', not {field!r}.")
    with open(path, "w") as file:
        file.write(text)
    return {field: path}


def safe_write_to_results_json(
    result: Any, default_file_name: str = "/tmp/release_test_output.json", env_var: str | None = "TEST_OUTPUT_JSON"
) -> None:
    """Write a JSON file that readers see whole or not at all."""
    path = os.environ.get(env_var or "", default_file_name)
    with open(f"{path}.tmp", "w") as file:
        json.dump(result, file)
    os.replace(f"{path}.tmp", path)


def generate_system_config_map(**kwargs: Any) -> dict[str, Any]:
    """Arguments of `ray.init` that set these settings."""
    return {"_system_config": kwargs}


def same_elements(elems_a: Iterable[Any], elems_b: Iterable[Any]) -> bool:
    """Whether both have the same elements, in any order; they need not be hashable."""
    left, right = list(elems_a), list(elems_b)
    for element in left:
        if element not in right:
            return False
        right.remove(element)
    return not right


def recursive_fnmatch(dirpath: str, pattern: str) -> list[str]:
    """Paths of files under a directory whose names match."""
    found: list[str] = []
    for root, _, names in os.walk(dirpath):
        found += [os.path.join(root, name) for name in fnmatch.filter(names, pattern)]
    return found


def format_web_url(url: str) -> str:
    """`url` with a scheme, and with 127.0.0.1 for localhost."""
    url = url.replace("localhost", "127.0.0.1")
    return url if url.startswith("http://") else f"http://{url}"


def get_current_unused_port() -> int:
    return find_free_port()


@contextlib.contextmanager
def chdir(d: str) -> Iterator[None]:
    """Another working directory for a block."""
    before = os.getcwd()
    os.chdir(d)
    try:
        yield
    finally:
        os.chdir(before)


def client_test_enabled() -> bool:
    """Whether the tests run through Ray Client."""
    return os.environ.get("RAY_CLIENT_MODE") == "1"


def external_redis_test_enabled() -> bool:
    """Whether the tests run against a Redis of their own."""
    return os.environ.get("TEST_EXTERNAL_REDIS") == "1"


def persistent_gcs_test_enabled() -> bool:
    """Whether the tests run with a GCS that survives its process by itself."""
    return external_redis_test_enabled() or rocksdb_gcs_test_enabled()


def rocksdb_gcs_test_enabled() -> bool:
    """Never: the GCS keeps its tables in memory, SQLite or Redis."""
    return False


def sandbox_test_enabled() -> bool:
    return False


def redis_replicas() -> int:
    return int(os.environ.get("TEST_EXTERNAL_REDIS_REPLICAS", "1"))


def redis_sentinel_replicas() -> int:
    return int(os.environ.get("TEST_EXTERNAL_REDIS_SENTINEL_REPLICAS", "2"))


def get_gpu_visible_devices_env_var() -> str:
    return "CUDA_VISIBLE_DEVICES"


def reset_autoscaler_v2_enabled_cache() -> None:
    """There is no cache to reset: nothing here remembers which autoscaler runs."""


def _absent(name: str, why: str) -> Callable[..., Any]:
    """A helper that can be imported, as fixtures of Ray's tests do, and that says why it cannot be used."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"ray._private.test_utils.{name} is not available in pure-ray: {why}.")

    refuse.__name__ = name
    return refuse


def request_with_auth_token(method: str, url: str, **kwargs: Any) -> Any:
    """`requests.request`, with this process's token."""
    import requests

    from ray._core.wire import auth

    token = auth.find_token()
    headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **kwargs.pop("headers", {})}
    return requests.request(method, url, headers=headers, **kwargs)


start_redis_sentinel_instance = _absent(
    "start_redis_sentinel_instance", "start Redis yourself, and pass its address to `ray start --redis-address`"
)


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    _absent_name = absent_names(
        __name__,
        "",
        "EC2InstanceTerminator get_dashboard_agent_address get_gcs_memory_used "
        "get_node_stats get_resource_usage get_test_config_path load_test_config mock_accelerator_detection "
        "mock_no_accelerators monitor_memory_usage set_setup_func wait_for_aggregator_agent "
        "wait_for_aggregator_agent_if_enabled wait_for_dashboard_agent_available",
    )

    def __getattr__(name: str) -> Any:
        """The killers are actor classes: to make them imports much that no other test needs."""
        if name in _KILLERS:
            from ray._private import chaos

            return getattr(chaos, name)
        return _absent_name(name)


__all__ = [
    "DEFAULT_DRIVER_TIMEOUT_SECONDS",
    "EXE_SUFFIX",
    "KILLED_DRIVER_DRAIN_TIMEOUT_SECONDS",
    "BatchQueue",
    "GcsErrorSubscriber",
    "GcsLogSubscriber",
    "MetricSamplePattern",
    "PrometheusTimeseries",
    "Semaphore",
    "SignalActor",
    "async_wait_for_condition",
    "chdir",
    "check_call_ray",
    "check_call_subprocess",
    "check_local_files_gced",
    "check_spilled_mb",
    "client_test_enabled",
    "convert_actor_state",
    "external_redis_test_enabled",
    "fetch_prometheus_metric_timeseries",
    "fetch_prometheus_timeseries",
    "find_free_port",
    "format_web_url",
    "generate_runtime_env_dict",
    "generate_system_config_map",
    "get_actor_node_id",
    "get_current_unused_port",
    "get_error_message",
    "get_gpu_visible_devices_env_var",
    "get_load_metrics_report",
    "get_log_batch",
    "get_log_data",
    "get_log_message",
    "get_log_sources",
    "get_metric_check_condition",
    "get_non_head_nodes",
    "get_other_nodes",
    "get_redis_cli",
    "init_error_pubsub",
    "init_log_pubsub",
    "is_placement_group_removed",
    "kill_actor_and_wait_for_failure",
    "kill_process_by_name",
    "kill_processes",
    "kill_raylet",
    "make_global_state_accessor",
    "no_resource_leaks_excluding_node_resources",
    "object_memory_usage",
    "parse_address",
    "persistent_gcs_test_enabled",
    "placement_group_assert_no_leak",
    "put_object",
    "raw_metric_timeseries",
    "recursive_fnmatch",
    "redis_replicas",
    "redis_sentinel_replicas",
    "request_with_auth_token",
    "reset_autoscaler_v2_enabled_cache",
    "rocksdb_gcs_test_enabled",
    "run_string_as_driver",
    "run_string_as_driver_nonblocking",
    "run_string_as_driver_stdout_stderr",
    "safe_write_to_results_json",
    "same_elements",
    "sandbox_test_enabled",
    "setup_tls",
    "start_redis_instance",
    "teardown_tls",
    "wait_for_assertion",
    "wait_for_children_of_pid",
    "wait_for_children_of_pid_to_exit",
    "wait_for_condition",
    "wait_for_num_actors",
    "wait_for_pid_to_exit",
    "wait_until_server_available",
    "wait_until_succeeded_without_exception",
]
