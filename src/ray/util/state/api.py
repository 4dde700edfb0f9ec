"""The state of a cluster: what actors, tasks, objects, nodes, workers, jobs and placement groups there are.

What is pending or running is asked of the processes at that moment; of tasks that have ended the GCS keeps the newest.
Source: Ray docs, "State API".
"""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

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
        if _explain and len(found) > options.limit:
            warnings.warn(
                f"Limit last {options.limit} entries (Total {len(found)}). Use `--filter` to reduce the amount of data "
                "to return or setting a higher limit with `--limit` to see all data.",
                stacklevel=3,
            )
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

Row = TypeVar("Row")
RowOut = TypeVar("RowOut", covariant=True)


class _List(Protocol[Row]):
    """A `list_…` function. Filters are (column, "=" or "!=", value); all must hold. Raises as `StateApiClient.list`.

    `_explain`: warn when there is more than `limit`.
    """

    def __call__(
        self,
        address: str | None = None,
        filters: list[Filter] | None = None,
        limit: int = DEFAULT_LIMIT,
        timeout: int = DEFAULT_RPC_TIMEOUT,
        detail: bool = False,
        raise_on_missing_output: bool = True,
        _explain: bool = False,
    ) -> list[Row]: ...


class _Get(Protocol[RowOut]):
    """A `get_…` function: all columns of the row with that id."""

    def __call__(
        self, id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
    ) -> RowOut: ...


class _Summarize(Protocol):
    """A `summarize_…` function: {"cluster": {"summary": …, "total_…": …, "summary_by": …}}."""

    def __call__(
        self,
        address: str | None = None,
        timeout: int = DEFAULT_RPC_TIMEOUT,
        raise_on_missing_output: bool = True,
        _explain: bool = False,
    ) -> dict[str, Any]: ...


def _named(function: Callable[..., Any], name: str, doc: str) -> None:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc


def _itself(row: Any) -> Any:
    return row


def _list(resource: StateResource, row: type[Row], doc: str = "", shown: Callable[[Any], Row] = _itself) -> _List[Row]:
    """The function `list_<resource>`, whose rows are of the class `row`: each as `shown` makes it."""

    def list_rows(
        address: str | None = None,
        filters: list[Filter] | None = None,
        limit: int = DEFAULT_LIMIT,
        timeout: int = DEFAULT_RPC_TIMEOUT,
        detail: bool = False,
        raise_on_missing_output: bool = True,
        _explain: bool = False,
    ) -> list[Row]:
        options = ListApiOptions(limit=limit, timeout=timeout, detail=detail, filters=filters)
        found = StateApiClient(address).list(resource, options, raise_on_missing_output, _explain)
        return [shown(each) for each in found]

    _named(list_rows, f"list_{resource.value}", doc or _List.__doc__ or "")
    return list_rows


def _get(resource: StateResource, name: str, found: type[Row], doc: str = "") -> _Get[Row]:
    """The function `name`, which returns what `StateApiClient.get` does."""

    def get_row(id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False) -> Row:
        return cast("Row", StateApiClient(address).get(resource, id, GetApiOptions(timeout)))

    _named(get_row, name, doc or "All columns of one; None when there is none of that id.")
    return get_row


def _summarize(resource: SummaryResource) -> _Summarize:
    """The function `summarize_<resource>`."""

    def summarize(
        address: str | None = None,
        timeout: int = DEFAULT_RPC_TIMEOUT,
        raise_on_missing_output: bool = True,
        _explain: bool = False,
    ) -> dict[str, Any]:
        options = SummaryApiOptions(timeout=timeout)
        return StateApiClient(address).summary(
            resource, options=options, raise_on_missing_output=raise_on_missing_output
        )

    _named(summarize, f"summarize_{resource.value}", _Summarize.__doc__ or "")
    return summarize


list_actors = _list(StateResource.ACTORS, ActorState)
list_cluster_events: _List[dict[str, Any]] = _list(
    StateResource.CLUSTER_EVENTS,
    dict,
    "The newest warnings and errors that drivers were told of. Raises as `StateApiClient.list`.",
    StateSchema.asdict,
)
list_jobs = _list(StateResource.JOBS, JobState)
list_nodes = _list(StateResource.NODES, NodeState)
list_objects = _list(StateResource.OBJECTS, ObjectState)
list_placement_groups = _list(StateResource.PLACEMENT_GROUPS, PlacementGroupState)
list_runtime_envs = _list(
    StateResource.RUNTIME_ENVS, RuntimeEnvState, "Environments of each node, and what could not be built lately."
)
list_tasks = _list(StateResource.TASKS, TaskState)
list_workers = _list(StateResource.WORKERS, WorkerState)
summarize_actors = _summarize(SummaryResource.ACTORS)
summarize_objects = _summarize(SummaryResource.OBJECTS)
summarize_tasks = _summarize(SummaryResource.TASKS)

get_actor: _Get[ActorState | None] = _get(StateResource.ACTORS, "get_actor", ActorState)
get_job: _Get[JobState | None] = _get(StateResource.JOBS, "get_job", JobState)
get_node: _Get[NodeState | None] = _get(StateResource.NODES, "get_node", NodeState)
get_placement_group: _Get[PlacementGroupState | None] = _get(
    StateResource.PLACEMENT_GROUPS, "get_placement_group", PlacementGroupState
)
get_worker: _Get[WorkerState | None] = _get(StateResource.WORKERS, "get_worker", WorkerState)
get_objects: _Get[list[ObjectState]] = _get(
    StateResource.OBJECTS, "get_objects", list, "An object as each process that has refs to it sees it."
)


def get_task(
    id: str | ObjectRef[Any], address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> TaskState | list[TaskState] | None:
    """A task by its id, or by a ref to its result; a list when it was tried more than once."""
    text = id if isinstance(id, str) else id.task_id().hex()
    return cast("TaskState | None", StateApiClient(address).get(StateResource.TASKS, text, GetApiOptions(timeout)))


if not TYPE_CHECKING:  # it imports this module

    def __getattr__(name: str) -> Any:
        if name in ("get_log", "list_logs"):
            from ray.util.state import logs

            return getattr(logs, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
