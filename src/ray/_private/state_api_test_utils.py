"""Helpers of tests of the state API."""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from ray._common.test_utils import wait_for_condition
from ray._private.not_included import Absent
from ray.util.state import list_tasks
from ray.util.state.common import (
    DEFAULT_LIMIT,
    DEFAULT_RPC_TIMEOUT,
    RAY_MAX_LIMIT_FROM_API_SERVER,
    ListApiOptions,
    StateSchema,
)

STATE_LIST_LIMIT = int(1e6)
STATE_LIST_TIMEOUT = 600
_NO_MANAGER = "ray.util.state asks the cluster without one."
get_state_api_manager = Absent("ray._private.state_api_test_utils.get_state_api_manager", _NO_MANAGER)
StateAPIGeneratorActor = Absent("ray._private.state_api_test_utils.StateAPIGeneratorActor")
StateAPIManager = Absent("ray._private.state_api_test_utils.StateAPIManager", _NO_MANAGER)
periodic_invoke_state_apis_with_actor = Absent("ray._private.state_api_test_utils.periodic_invoke_state_apis")
summarize_worker_startup_time = Absent("ray._private.state_api_test_utils.summarize_worker_startup_time")
invoke_state_api = Absent("ray._private.state_api_test_utils.invoke_state_api")
invoke_state_api_n = Absent("ray._private.state_api_test_utils.invoke_state_api_n")
aggregate_perf_results = Absent("ray._private.state_api_test_utils.aggregate_perf_results")


@dataclasses.dataclass
class StateAPIMetric:
    """What one call cost."""

    latency_sec: float
    result_size: int


@dataclasses.dataclass
class StateAPIStats:
    """Of calls, by the name of the API."""

    pending_calls: int = 0
    total_calls: int = 0
    calls: dict[str, list[StateAPIMetric]] = dataclasses.field(default_factory=lambda: defaultdict(list))


@dataclasses.dataclass
class StateAPICallSpec:
    """A call, and what its result must pass."""

    api: Callable[..., Any]
    verify_cb: Callable[[Any], bool]
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)


def create_api_options(
    timeout: int = DEFAULT_RPC_TIMEOUT,
    limit: int = DEFAULT_LIMIT,
    filters: list[Any] | None = None,
    detail: bool = False,
    exclude_driver: bool = True,
) -> ListApiOptions:
    return ListApiOptions(
        limit=limit, timeout=timeout, filters=filters or [], detail=detail, exclude_driver=exclude_driver
    )  # fmt: skip


def verify_schema(state: type[StateSchema], result_dict: Mapping[str, Any], detail: bool = False) -> None:
    """Raises AssertionError: the row lacks a column of `state`, or has one more."""
    columns = state.columns() if detail else state.base_columns()
    assert set(result_dict) == set(columns), f"{sorted(result_dict)} is not {sorted(columns)}"


def wait_for_task_states(name_to_state: Mapping[str, str], timeout: float = 30) -> None:
    """Wait until the tasks of these names, one of each, are in these states. Raises RuntimeError."""

    def are_there() -> bool:
        states = {task.name: task.state for task in list_tasks(limit=RAY_MAX_LIMIT_FROM_API_SERVER)}
        return all(states.get(name) == state for name, state in name_to_state.items())

    wait_for_condition(are_there, timeout)


def verify_failed_task(name: str, error_type: str, error_message: str | list[str] | None = None) -> bool:
    """For `wait_for_condition`: the one task of this name failed in this way.

    Args:
        error_message: parts of the error's text.
    Raises:
        AssertionError: it did not, or not yet.
    """
    (task,) = list_tasks(filters=[("name", "=", name)], detail=True)
    assert task["state"] == "FAILED", task["state"]
    assert task["error_type"] == error_type, task["error_type"]
    parts = [error_message] if isinstance(error_message, str) else error_message or []
    for part in parts:
        assert part in task["error_message"], f"{part!r} is not in {task['error_message']!r}"
    return True


def _is_actor_task_running(actor_pid: int, task_name: str) -> bool:
    """Whether a process of this id runs a method of this name, by its title."""
    try:
        with open(f"/proc/{actor_pid}/cmdline", "rb") as file:
            title = file.read().replace(b"\\0", b" ").decode(errors="replace")
    except FileNotFoundError:
        return False
    return f"ray::{task_name}" in title and os.path.exists(f"/proc/{actor_pid}")
