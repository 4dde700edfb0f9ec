"""Helpers that Ray's own tests and third parties' import from here. What concerns processes is in `process_tests`."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import socket
import time
import traceback
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
from ray._private import process_tests
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
from ray._private.service_tests import get_redis_cli, setup_tls, start_redis_instance, teardown_tls
from ray.util.queue import Empty, Queue, _QueueActor

_KILLERS = (
    *("NodeKillerBase", "RayletKiller", "ResourceKillerActor", "WorkerKillerActor"),
    "get_and_run_resource_killer",
)
_ANY_NUMBER = 10**6
_ACTOR_STATES = ("DEPENDENCIES_UNREADY", "PENDING_CREATION", "ALIVE", "RESTARTING", "DEAD")
EXE_SUFFIX = ""


# ------------------------------------------------------------------ waiting


def wait_for_assertion(
    assertion_predictor: Callable[..., Any],
    timeout: float = 10,
    retry_interval_ms: float = 100,
    raise_exceptions: bool = False,
    **kwargs: Any,
) -> None:
    """Call the function, which asserts, until it does not raise; its last AssertionError when the time is over."""

    def passes() -> bool:
        assertion_predictor(**kwargs)
        return True

    try:
        wait_for_condition(passes, timeout, retry_interval_ms, raise_exceptions)
    except RuntimeError:
        assertion_predictor(**kwargs)  # once more, to raise what is still wrong


def wait_until_succeeded_without_exception(
    func: Callable[..., Any],
    exceptions: tuple[type[BaseException], ...],
    *args: Any,
    timeout_ms: float = 1000,
    retry_interval_ms: float = 100,
    raise_last_ex: bool = False,
) -> bool:
    """Call `func(*args)` until it raises none of `exceptions`.

    Returns:
        Whether that came about in time.
    Raises:
        Exception: it did not, and `raise_last_ex` is set; the text tells the last exception.
    """
    deadline_at_s = time.monotonic() + timeout_ms / 1000
    while True:
        try:
            func(*args)
            return True
        except exceptions as error:
            if time.monotonic() >= deadline_at_s:
                if raise_last_ex:
                    raise Exception(f"Timed out while testing, {traceback.format_exc()}") from error
                return False
            time.sleep(retry_interval_ms / 1000)


def wait_until_server_available(address: str, timeout_ms: float = 5000, retry_interval_ms: float = 100) -> bool:
    """Whether somebody accepts connections at "host:port" within the time."""
    parsed = parse_address(address)
    if parsed is None:
        raise ValueError(f'An address is "host:port", not {address!r}.')
    deadline_at_s = time.monotonic() + timeout_ms / 1000
    while True:
        try:
            socket.create_connection((parsed[0], int(parsed[1])), timeout=1).close()
            return True
        except OSError:
            if time.monotonic() >= deadline_at_s:
                return False
            time.sleep(retry_interval_ms / 1000)


# ------------------------------------------------------------------ actors, nodes, objects


def kill_actor_and_wait_for_failure(actor: Any, timeout: float = 10, retry_interval_ms: float = 100) -> None:
    """Kill an actor for good, and wait until the cluster says that it is dead.

    Raises:
        RuntimeError: it does not say so in time.
    """
    from ray._core.common import messages as m
    from ray._private.auto_init_hook import connected_core

    ray.kill(actor)
    request = m.GetActor(actor_id=actor._actor_id.binary())

    def is_dead() -> bool:
        info = connected_core().ask_gcs(request).info
        return info is None or info.state == "DEAD"

    wait_for_condition(is_dead, timeout, retry_interval_ms)


def convert_actor_state(state: str | int) -> str:
    """The name of a state of an actor, from its number in `ActorTableData`, or itself. KeyError for none."""
    if isinstance(state, int):
        return dict(enumerate(_ACTOR_STATES))[state]
    if state not in _ACTOR_STATES:
        raise KeyError(state)
    return state


def wait_for_num_actors(num_actors: int, state: str | None = None, timeout: float = 10) -> bool:
    """Wait until there are so many actors, or more, of this state.

    Raises:
        RuntimeError: there are not in time.
    """
    from ray._private.global_state import actors

    def are_there() -> bool:
        return sum(state in (None, row["State"]) for row in actors().values()) >= num_actors

    wait_for_condition(are_there, timeout)
    return True


def get_actor_node_id(actor_handle: Any) -> str:
    """Where the actor runs: its node's id in hex."""
    node_id: str = ray.get(actor_handle.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id()))
    return node_id


def get_other_nodes(cluster: Any, exclude_head: bool = False) -> list[Any]:
    """The nodes of a `Cluster` that this driver is not connected to; without the head, if asked."""
    from ray._private.worker import global_worker

    here = global_worker.current_node_id.hex()
    return [node for node in cluster.list_all_nodes() if node.node_id != here and not (exclude_head and node.head)]


def get_non_head_nodes(cluster: Any) -> list[Any]:
    return [node for node in cluster.list_all_nodes() if not node.head]


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


# ------------------------------------------------------------------ what the cluster says


def is_placement_group_removed(pg: Any) -> bool:
    """Whether the cluster has a record of the group, as removed."""
    row = ray.util.placement_group_table(pg)
    return bool(row) and row["state"] == "REMOVED"


def placement_group_assert_no_leak(pgs_created: Iterable[Any]) -> None:
    """Remove the groups, and wait until they are gone with all resources reserved for them.

    Raises:
        AssertionError: something of them is left.
    """
    groups = list(pgs_created)
    for group in groups:
        ray.util.remove_placement_group(group)
    wait_for_condition(lambda: all(is_placement_group_removed(group) for group in groups))

    def nothing_is_left() -> None:
        left = [name for name in ray.cluster_resources() if "_group_" in name]
        assert not left, f"Resources of removed placement groups: {left}"

    wait_for_assertion(nothing_is_left)


def init_error_pubsub() -> GcsErrorSubscriber:
    """A subscription to the cluster's error events, for `get_error_message`."""
    subscriber = GcsErrorSubscriber(ray.get_runtime_context().gcs_address)
    subscriber.subscribe()
    return subscriber


def get_error_message(
    subscriber: GcsErrorSubscriber, num: float = _ANY_NUMBER, error_type: str | None = None, timeout: float = 20
) -> list[dict[str, Any]]:
    """Events until there are `num`, or `timeout` seconds are over.

    Args:
        error_type: only those of this `type`.
    """
    deadline_at_s = time.monotonic() + timeout
    events: list[dict[str, Any]] = []
    while len(events) < num and (left_s := deadline_at_s - time.monotonic()) > 0:
        _, event = subscriber.poll(timeout=left_s)
        if event is not None and error_type in (None, event["type"]):
            events.append(event)
    return events


def init_log_pubsub() -> GcsLogSubscriber:
    """A subscription to what all workers print, for `get_log_data` and its kin."""
    subscriber = GcsLogSubscriber(ray.get_runtime_context().gcs_address)
    subscriber.subscribe()
    return subscriber


def get_log_data(
    subscriber: GcsLogSubscriber,
    num: float = _ANY_NUMBER,
    timeout: float = 20,
    job_id: str | None = None,
    matcher: Callable[[str], bool] | None = None,
) -> list[dict[str, Any]]:
    """Batches of lines until there are `num` lines, or `timeout` seconds are over.

    Args:
        job_id: only lines of this job, in hex.
        matcher: only batches with such a line.
    """
    deadline_at_s = time.monotonic() + timeout
    found: list[dict[str, Any]] = []
    while sum(len(batch["lines"]) for batch in found) < num and (left_s := deadline_at_s - time.monotonic()) > 0:
        batch = subscriber.poll(timeout=left_s)
        if not batch or (job_id is not None and batch["job"] != job_id):
            continue
        if matcher is None or any(matcher(line) for line in batch["lines"]):
            found.append(batch)
    return found


def get_log_message(subscriber: GcsLogSubscriber, *args: Any, **kwargs: Any) -> list[list[str]]:
    """The lines of `get_log_data`, batch by batch."""
    return [batch["lines"] for batch in get_log_data(subscriber, *args, **kwargs)]


def get_log_sources(subscriber: GcsLogSubscriber, *args: Any, **kwargs: Any) -> set[str]:
    """The process ids that `get_log_data` has lines of."""
    return {batch["pid"] for batch in get_log_data(subscriber, *args, **kwargs)}


def get_log_batch(subscriber: GcsLogSubscriber, num: int, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
    """`num` batches of lines, or what came in time."""
    return get_log_data(subscriber, num, *args, **kwargs)[:num]


def make_global_state_accessor(ray_context: Any) -> Any:
    """A `GlobalStateAccessor`, connected. `ray_context`: what `ray.init` returned."""
    from ray._private.global_state_accessor import GcsClientOptions, GlobalStateAccessor

    accessor = GlobalStateAccessor(GcsClientOptions.create(ray_context.address_info["gcs_address"]))
    accessor.connect()
    return accessor


def object_memory_usage() -> float:
    """Bytes of the cluster's object stores that are in use."""
    name = "object_store_memory"
    return ray.cluster_resources()[name] - ray.available_resources().get(name, 0)


def no_resource_leaks_excluding_node_resources() -> bool:
    """Whether all resources of the cluster are free; "node:…" is not looked at."""

    def without_nodes(resources: dict[str, float]) -> dict[str, float]:
        return {name: amount for name, amount in resources.items() if not name.startswith("node:")}

    return without_nodes(ray.cluster_resources()) == without_nodes(ray.available_resources())


def check_spilled_mb(
    address: Any, spilled: float | None = None, restored: float | None = None, fallback: float | None = None
) -> None:
    """Wait until `ray memory` tells of so many MiB, in whole; of none, for None.

    Args:
        address: what `ray.init` returned.
    """
    from ray._private.internal_api import memory_summary

    if fallback is not None:
        raise NotImplementedError("check_spilled_mb(fallback=) is not available: that part is not counted by itself.")

    def agrees() -> bool:
        summary = memory_summary(address["address"], stats_only=True)
        told = [("Spilled", spilled), ("Restored", restored)]
        return all(f"{word} {int(mib)} MiB" in summary if mib else f"{word} " not in summary for word, mib in told)

    wait_for_condition(agrees, timeout=3)


def kill_raylet(raylet: dict[str, Any], graceful: bool = False) -> None:
    """End the raylet of a row of `ray.nodes()`, which is of this machine, and wait until it has ended.

    Raises:
        ValueError: the cluster knows no such node, or it is dead.
    """
    process_tests.end_raylet(raylet["NodeID"], graceful)


def get_load_metrics_report(webui_url: str) -> Any:
    """What the dashboard says of the load: its resources, and what waits."""
    from ray.dashboard.modules.dashboard_sdk import SubmissionClient

    answer = SubmissionClient(webui_url)._do_request("GET", "/api/cluster_status")
    answer.raise_for_status()
    return answer.json()["data"]["clusterStatus"]["loadMetricsReport"]


def check_local_files_gced(cluster: Any) -> bool:
    """Whether no node of the cluster holds files of a runtime environment any more."""
    kinds = ("conda", "pip", "uv", "working_dir_files", "py_modules_files")
    for node in cluster.list_all_nodes():
        for kind in kinds:
            directory = os.path.join(node.get_runtime_env_dir_path(), kind)
            names = os.listdir(directory) if os.path.isdir(directory) else []
            if any(not name.endswith((".lock", ".txt")) for name in names):
                print(f"{directory} still has {names}")
                return False
    return True


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


# ------------------------------------------------------------------ small things


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
