"""The state of a cluster: what actors, tasks, objects, nodes, workers, jobs and placement groups there are.

What is pending or running is asked of the processes at that moment; of tasks that have ended the GCS keeps the newest.
Source: Ray docs, "State API".
"""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from ray._core.common import messages as m
from ray._private import state_rows
from ray._private.state_source import Source
from ray.util.state.common import (
    DEFAULT_LIMIT,
    DEFAULT_RPC_TIMEOUT,
    RAY_MAX_LIMIT_FROM_API_SERVER,
    SCHEMAS,
    ActorState,
    Filter,
    GetApiOptions,
    JobState,
    ListApiOptions,
    NodeState,
    ObjectState,
    PlacementGroupState,
    RuntimeEnvState,
    StateResource,
    StateSchema,
    SummaryApiOptions,
    SummaryResource,
    TaskState,
    WorkerState,
)
from ray.util.state.exception import RayStateApiException

if TYPE_CHECKING:
    from ray import ObjectRef

_ID_COLUMNS = {
    StateResource.ACTORS: "actor_id",
    StateResource.CLUSTER_EVENTS: "event_id",
    StateResource.JOBS: "job_id",
    StateResource.NODES: "node_id",
    StateResource.OBJECTS: "object_id",
    StateResource.PLACEMENT_GROUPS: "placement_group_id",
    StateResource.RUNTIME_ENVS: "runtime_env",
    StateResource.TASKS: "task_id",
    StateResource.WORKERS: "worker_id",
}


class StateApiClient:
    """Args: address: "host:port" of the head; None: this process's cluster, else RAY_ADDRESS, else the local one."""

    def __init__(
        self,
        address: str | None = None,
        cookies: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        self._source = Source(address)

    def list(
        self,
        resource: StateResource,
        options: ListApiOptions,
        raise_on_missing_output: bool = True,
        _explain: bool = False,
    ) -> builtins.list[Any]:
        """Rows that pass all filters, by id, at most `options.limit`.

        Raises:
            RayStateApiException: an unknown column in a filter, a limit beyond RAY_MAX_LIMIT_FROM_API_SERVER, or, with
                `raise_on_missing_output`, processes that did not answer in time.
            ServerUnavailable: no cluster answers.
        """
        if options.limit > RAY_MAX_LIMIT_FROM_API_SERVER:
            raise RayStateApiException(
                f"Given limit {options.limit} exceeds the supported limit {RAY_MAX_LIMIT_FROM_API_SERVER}. Use a "
                "lower limit, or set the `RAY_MAX_LIMIT_FROM_API_SERVER` environment variable to a larger value."
            )
        schema = _schema(resource)
        filters = [(column, predicate == "=", value) for column, predicate, value in options.filters or []]
        _check_columns(schema, [column for column, _, _ in filters])
        rows = self._rows(resource, options.timeout, raise_on_missing_output)
        found = [row for row in rows if all(_passes(schema, row, *each) for each in filters)]
        found.sort(key=lambda row: str(row[_ID_COLUMNS[resource]]))
        return [schema.of(row, options.detail) for row in found[: options.limit]]

    def get(
        self, resource: StateResource, id: str, options: GetApiOptions | None = None, _explain: bool = False
    ) -> Any:
        """The row of that id with all columns, or None; a list for objects, and for a task that was tried again."""
        options = options or GetApiOptions()
        _check_hex(id)
        column, schema = _ID_COLUMNS[resource], _schema(resource)
        rows = self._rows(resource, options.timeout, True)
        found = [schema.of(row, detail=True) for row in rows if row[column] == id.lower()]
        if resource is StateResource.OBJECTS or len(found) > 1:
            return found
        return found[0] if found else None

    def summary(
        self,
        resource: SummaryResource,
        *,
        options: SummaryApiOptions,
        raise_on_missing_output: bool = True,
        _explain: bool = False,
    ) -> dict[str, Any]:
        rows = self._rows(StateResource(resource.value), options.timeout, raise_on_missing_output)
        summarize = getattr(state_rows, f"summarize_{resource.value}")
        return {"cluster": summarize(rows)}

    def dump(self, what: str) -> builtins.list[bytes]:
        """What the processes of the cluster tell of themselves, undecoded (see messages.DumpState)."""
        dump: m.StateDump = self._source.ask(m.DumpState(what=what))
        return dump.blobs

    def _rows(self, resource: StateResource, timeout_s: float, raise_on_missing: bool) -> builtins.list[state_rows.Row]:
        rows = self._source.rows(resource, timeout_s)
        silent = self._source.silent
        if silent:
            text = f"{silent} processes did not answer in time: the {resource.value} they know of are missing."
            if raise_on_missing:
                raise RayStateApiException(f"{text} Pass raise_on_missing_output=False to take what there is.")
            warnings.warn(text, stacklevel=4)
        return rows


def _schema(resource: StateResource) -> type[StateSchema]:
    return SCHEMAS[resource]


def _check_columns(schema: type[StateSchema], columns: list[str]) -> None:
    known = schema.filterable_columns()
    for column in columns:
        if column not in known:
            raise RayStateApiException(
                f"The given filter column {column} is not supported. Enter filters with --filter key=value or "
                f"--filter key!=value Supported filter columns: {sorted(known)}"
            )


def _check_hex(text: str) -> None:
    try:
        bytes.fromhex(text)
    except ValueError:
        raise RayStateApiException(f"{text!r} is no id: ids are hexadecimal digits.") from None


def _passes(schema: type[StateSchema], row: dict[str, Any], column: str, equal: bool, wanted: Any) -> bool:
    """Text is compared without regard to case; a value is read as the column's type."""
    kind, value = schema.type_of(column), row[column]
    if kind is bool:
        wanted = wanted if isinstance(wanted, bool) else str(wanted).lower() in ("1", "true")
    elif kind in (int, float):
        try:
            wanted = kind(wanted)
        except ValueError:
            raise RayStateApiException(f"The column {column} is a number, and {wanted!r} is none.") from None
    else:
        value, wanted = str(value).lower() if value is not None else None, str(wanted).lower()
    return bool((value == wanted) == equal)


# ------------------------------------------------------------------ functions


def _list(
    resource: StateResource,
    address: str | None,
    filters: list[Filter] | None,
    limit: int,
    timeout: int,
    detail: bool,
    raise_on_missing_output: bool,
) -> list[Any]:
    options = ListApiOptions(limit=limit, timeout=timeout, detail=detail, filters=filters)
    return StateApiClient(address).list(resource, options, raise_on_missing_output)


def list_actors(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ActorState]:
    """Filters are (column, "=" or "!=", value); all must hold. Raises as `StateApiClient.list`."""
    return _list(StateResource.ACTORS, address, filters, limit, timeout, detail, raise_on_missing_output)


def list_placement_groups(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[PlacementGroupState]:
    """Filters are (column, "=" or "!=", value); all must hold. Raises as `StateApiClient.list`."""
    return _list(StateResource.PLACEMENT_GROUPS, address, filters, limit, timeout, detail, raise_on_missing_output)


def list_nodes(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[NodeState]:
    """Filters are (column, "=" or "!=", value); all must hold. Raises as `StateApiClient.list`."""
    return _list(StateResource.NODES, address, filters, limit, timeout, detail, raise_on_missing_output)


def list_jobs(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[JobState]:
    """Filters are (column, "=" or "!=", value); all must hold. Raises as `StateApiClient.list`."""
    return _list(StateResource.JOBS, address, filters, limit, timeout, detail, raise_on_missing_output)


def list_workers(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[WorkerState]:
    """Filters are (column, "=" or "!=", value); all must hold. Raises as `StateApiClient.list`."""
    return _list(StateResource.WORKERS, address, filters, limit, timeout, detail, raise_on_missing_output)


def list_runtime_envs(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[RuntimeEnvState]:
    """Environments of each node, and what could not be built lately. Raises as `StateApiClient.list`."""
    return _list(StateResource.RUNTIME_ENVS, address, filters, limit, timeout, detail, raise_on_missing_output)


def list_tasks(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[TaskState]:
    """Filters are (column, "=" or "!=", value); all must hold. Raises as `StateApiClient.list`."""
    return _list(StateResource.TASKS, address, filters, limit, timeout, detail, raise_on_missing_output)


def list_objects(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ObjectState]:
    """Filters are (column, "=" or "!=", value); all must hold. Raises as `StateApiClient.list`."""
    return _list(StateResource.OBJECTS, address, filters, limit, timeout, detail, raise_on_missing_output)


def list_cluster_events(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[dict[str, Any]]:
    """The newest warnings and errors that drivers were told of. Raises as `StateApiClient.list`."""
    found = _list(StateResource.CLUSTER_EVENTS, address, filters, limit, timeout, detail, raise_on_missing_output)
    return [each.asdict() for each in found]


def get_actor(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> ActorState | None:
    """All columns of one; None when there is none of that id."""
    return cast("ActorState | None", StateApiClient(address).get(StateResource.ACTORS, id, GetApiOptions(timeout)))


def get_placement_group(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> PlacementGroupState | None:
    """All columns of one; None when there is none of that id."""
    return cast(
        "PlacementGroupState | None",
        StateApiClient(address).get(StateResource.PLACEMENT_GROUPS, id, GetApiOptions(timeout)),
    )


def get_node(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> NodeState | None:
    """All columns of one; None when there is none of that id."""
    return cast("NodeState | None", StateApiClient(address).get(StateResource.NODES, id, GetApiOptions(timeout)))


def get_job(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> JobState | None:
    """All columns of one; None when there is none of that id."""
    return cast("JobState | None", StateApiClient(address).get(StateResource.JOBS, id, GetApiOptions(timeout)))


def get_worker(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> WorkerState | None:
    """All columns of one; None when there is none of that id."""
    return cast("WorkerState | None", StateApiClient(address).get(StateResource.WORKERS, id, GetApiOptions(timeout)))


def get_task(
    id: str | ObjectRef[Any], address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> TaskState | list[TaskState] | None:
    """A task by its id, or by a ref to its result; a list when it was tried more than once."""
    text = id if isinstance(id, str) else id.task_id().hex()
    return cast("TaskState | None", StateApiClient(address).get(StateResource.TASKS, text, GetApiOptions(timeout)))


def get_objects(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> list[ObjectState]:
    """An object as each process that has refs to it sees it."""
    return cast("list[ObjectState]", StateApiClient(address).get(StateResource.OBJECTS, id, GetApiOptions(timeout)))


def summarize_tasks(
    address: str | None = None,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """{"cluster": {"summary": …, "total_…": …, "summary_by": …}}."""
    options = SummaryApiOptions(timeout=timeout)
    return StateApiClient(address).summary(
        SummaryResource.TASKS, options=options, raise_on_missing_output=raise_on_missing_output
    )


def summarize_actors(
    address: str | None = None,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """{"cluster": {"summary": …, "total_…": …, "summary_by": …}}."""
    options = SummaryApiOptions(timeout=timeout)
    return StateApiClient(address).summary(
        SummaryResource.ACTORS, options=options, raise_on_missing_output=raise_on_missing_output
    )


def summarize_objects(
    address: str | None = None,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """{"cluster": {"summary": …, "total_…": …, "summary_by": …}}."""
    options = SummaryApiOptions(timeout=timeout)
    return StateApiClient(address).summary(
        SummaryResource.OBJECTS, options=options, raise_on_missing_output=raise_on_missing_output
    )
