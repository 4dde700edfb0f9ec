"""Rows of the state API, and the options of its questions.

Source: Ray docs, "State API". A column that is marked as detail is None unless `detail=True`.
"""

# ruff: noqa: RUF009 - `state_column` makes a dataclasses.field
from __future__ import annotations

import dataclasses
import enum
import os
import re
from typing import TYPE_CHECKING, Any, Self, get_args, get_type_hints

from ray._private.not_included import absent_names
from ray.util.state.exception import RayStateApiException
from ray.util.state.state_text import Humanify as Humanify

DEFAULT_LIMIT = 100
DEFAULT_RPC_TIMEOUT = 30
DEFAULT_LOG_LIMIT = 1000
DEFAULT_DOWNLOAD_FILENAME = "file.txt"
DRIVER_TASK_ID_PREFIX = "f" * 40
RAY_MAX_LIMIT_FROM_API_SERVER = int(os.environ.get("RAY_MAX_LIMIT_FROM_API_SERVER", "10000"))
RAY_MAX_LIMIT_FROM_DATA_SOURCE = int(os.environ.get("RAY_MAX_LIMIT_FROM_DATA_SOURCE", "10000"))
PREDICATES = ("=", "!=")
SupportedFilterType = str | bool | int | float
PredicateType = str
Filter = tuple[str, PredicateType, SupportedFilterType]


class StateResource(enum.Enum):
    ACTORS = "actors"
    JOBS = "jobs"
    PLACEMENT_GROUPS = "placement_groups"
    NODES = "nodes"
    WORKERS = "workers"
    TASKS = "tasks"
    OBJECTS = "objects"
    RUNTIME_ENVS = "runtime_envs"
    CLUSTER_EVENTS = "cluster_events"


class SummaryResource(enum.Enum):
    ACTORS = "actors"
    TASKS = "tasks"
    OBJECTS = "objects"


def state_column(*, filterable: bool = False, detail: bool = False) -> Any:
    """A column. Detail columns have the default None."""
    metadata = {"filterable": filterable, "detail": detail}
    return dataclasses.field(default=None, metadata=metadata) if detail else dataclasses.field(metadata=metadata)


class StateSchema:
    """A row: columns as attributes and by `row["column"]`."""

    @classmethod
    def list_columns(cls, detail: bool = True) -> list[str]:
        fields: Any = dataclasses.fields(cls)  # type: ignore[arg-type]
        return [field.name for field in fields if detail or not field.metadata.get("detail")]

    @classmethod
    def columns(cls) -> set[str]:
        return set(cls.list_columns())

    @classmethod
    def base_columns(cls) -> set[str]:
        """Those that are there without `detail=True`."""
        return set(cls.list_columns(detail=False))

    @classmethod
    def detail_columns(cls) -> set[str]:
        return cls.columns()

    @classmethod
    def filterable_columns(cls) -> set[str]:
        fields: Any = dataclasses.fields(cls)  # type: ignore[arg-type]
        return {field.name for field in fields if field.metadata.get("filterable")}

    @classmethod
    def type_of(cls, column: str) -> type:
        """bool, int, float or str: as what a filter's value is read."""
        hint = get_type_hints(cls)[column]
        kinds = set(get_args(hint)) or {hint}
        return next((kind for kind in (bool, int, float) if kind in kinds), str)

    @classmethod
    def of(cls, row: dict[str, Any], detail: bool) -> Self:
        return cls(**{name: row[name] for name in cls.list_columns(detail)})

    def asdict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    def get(self, key: str, default: Any = None) -> Any:
        return getattr(self, key, default)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)


@dataclasses.dataclass(init=True)
class ActorState(StateSchema):
    actor_id: str = state_column(filterable=True)
    class_name: str = state_column(filterable=True)
    state: str = state_column(filterable=True)
    """DEPENDENCIES_UNREADY, PENDING_CREATION, ALIVE, RESTARTING or DEAD."""
    job_id: str = state_column(filterable=True)
    name: str | None = state_column(filterable=True)
    node_id: str | None = state_column(filterable=True)
    pid: int | None = state_column(filterable=True)
    ray_namespace: str | None = state_column(filterable=True)
    serialized_runtime_env: str | None = state_column(detail=True)
    required_resources: dict[str, float] | None = state_column(detail=True)
    death_cause: dict[str, Any] | None = state_column(detail=True)
    is_detached: bool | None = state_column(detail=True)
    placement_group_id: str | None = state_column(detail=True, filterable=True)
    repr_name: str | None = state_column(detail=True, filterable=True)
    num_restarts: int | None = state_column(detail=True)
    num_restarts_due_to_lineage_reconstruction: int | None = state_column(detail=True)
    num_restarts_due_to_node_preemption: int | None = state_column(detail=True)
    call_site: str | None = state_column(detail=True)
    label_selector: dict[str, str] | None = state_column(detail=True)
    fallback_strategy: dict[str, Any] | None = state_column(detail=True)


@dataclasses.dataclass(init=True)
class PlacementGroupState(StateSchema):
    placement_group_id: str = state_column(filterable=True)
    name: str = state_column(filterable=True)
    creator_job_id: str = state_column(filterable=True)
    state: str = state_column(filterable=True)
    """PENDING, PREPARED, CREATED, REMOVED or RESCHEDULING."""
    bundles: list[dict[str, Any]] | None = state_column(detail=True)
    is_detached: bool | None = state_column(detail=True, filterable=True)
    stats: dict[str, Any] | None = state_column(detail=True)
    topology_strategy: dict[str, Any] | None = state_column(detail=True)
    topology_assignments: dict[str, Any] | None = state_column(detail=True)


@dataclasses.dataclass(init=True)
class NodeState(StateSchema):
    node_id: str = state_column(filterable=True)
    node_ip: str = state_column(filterable=True)
    is_head_node: bool = state_column(filterable=True)
    state: str = state_column(filterable=True)
    """ALIVE or DEAD."""
    state_message: str | None = state_column()
    node_name: str = state_column(filterable=True)
    resources_total: dict[str, float] = state_column()
    labels: dict[str, str] = state_column()
    start_time_ms: int | None = state_column(detail=True)
    end_time_ms: int | None = state_column(detail=True)


@dataclasses.dataclass(init=True)
class WorkerState(StateSchema):
    worker_id: str = state_column(filterable=True)
    is_alive: bool = state_column(filterable=True)
    worker_type: str = state_column(filterable=True)
    """WORKER or DRIVER."""
    exit_type: str | None = state_column(filterable=True)
    node_id: str = state_column(filterable=True)
    ip: str = state_column(filterable=True)
    pid: int = state_column(filterable=True)
    exit_detail: str | None = state_column(detail=True)
    worker_launch_time_ms: int | None = state_column(detail=True)
    worker_launched_time_ms: int | None = state_column(detail=True)
    start_time_ms: int | None = state_column(detail=True)
    end_time_ms: int | None = state_column(detail=True)
    debugger_port: int | None = state_column(detail=True)
    num_paused_threads: int | None = state_column(detail=True)


@dataclasses.dataclass(init=True)
class TaskState(StateSchema):
    task_id: str = state_column(filterable=True)
    attempt_number: int = state_column(filterable=True)
    name: str = state_column(filterable=True)
    state: str = state_column(filterable=True)
    job_id: str = state_column(filterable=True)
    actor_id: str | None = state_column(filterable=True)
    type: str = state_column(filterable=True)
    """NORMAL_TASK, ACTOR_CREATION_TASK or ACTOR_TASK."""
    func_or_class_name: str = state_column(filterable=True)
    parent_task_id: str = state_column(filterable=True)
    node_id: str | None = state_column(filterable=True)
    worker_id: str | None = state_column(filterable=True)
    worker_pid: int | None = state_column(filterable=True)
    error_type: str | None = state_column(filterable=True)
    language: str | None = state_column(detail=True, filterable=True)
    required_resources: dict[str, float] | None = state_column(detail=True)
    runtime_env_info: dict[str, Any] | None = state_column(detail=True)
    placement_group_id: str | None = state_column(detail=True, filterable=True)
    events: list[dict[str, Any]] | None = state_column(detail=True)
    profiling_data: dict[str, Any] | None = state_column(detail=True)
    creation_time_ms: int | None = state_column(detail=True)
    start_time_ms: int | None = state_column(detail=True)
    end_time_ms: int | None = state_column(detail=True)
    task_log_info: dict[str, Any] | None = state_column(detail=True)
    error_message: str | None = state_column(detail=True)
    is_debugger_paused: bool | None = state_column(detail=True, filterable=True)
    call_site: str | None = state_column(detail=True)
    label_selector: dict[str, str] | None = state_column(detail=True)
    fallback_strategy: dict[str, Any] | None = state_column(detail=True)


@dataclasses.dataclass(init=True)
class ObjectState(StateSchema):
    object_id: str = state_column(filterable=True)
    object_size: int = state_column(filterable=True)
    """-1: not known yet."""
    task_status: str = state_column(filterable=True)
    attempt_number: int = state_column(filterable=True)
    reference_type: str = state_column(filterable=True)
    call_site: str = state_column(filterable=True)
    type: str = state_column(filterable=True)
    """WORKER or DRIVER: the process that sees it so."""
    pid: int = state_column(filterable=True)
    ip: str = state_column(filterable=True)


@dataclasses.dataclass(init=True)
class ClusterEventState(StateSchema):
    severity: str = state_column(filterable=True)
    time: str = state_column()
    source_type: str = state_column(filterable=True)
    message: str = state_column()
    event_id: str = state_column(filterable=True)
    custom_fields: dict[str, Any] | None = state_column(detail=True)


@dataclasses.dataclass(init=True)
class JobState(StateSchema):
    """The columns of a job that `ray job` knows are None for a driver that was started by hand."""

    job_id: str | None = state_column(filterable=True)
    submission_id: str | None = state_column(filterable=True)
    entrypoint: str = state_column()
    type: str = state_column(filterable=True)
    status: str = state_column(filterable=True)
    message: str | None = state_column()
    error_type: str | None = state_column()
    driver_info: dict[str, str] | None = state_column()
    start_time: int | None = state_column(detail=True)
    end_time: int | None = state_column(detail=True)
    metadata: dict[str, str] | None = state_column(detail=True)
    runtime_env: dict[str, Any] | None = state_column(detail=True)
    driver_agent_http_address: str | None = state_column(detail=True)
    driver_node_id: str | None = state_column(detail=True)
    driver_exit_code: int | None = state_column(detail=True)


@dataclasses.dataclass(init=True)
class RuntimeEnvState(StateSchema):
    runtime_env: dict[str, Any] = state_column(filterable=True)
    success: bool = state_column(filterable=True)
    creation_time_ms: int | None = state_column()
    """How long its setup took."""
    node_id: str = state_column(filterable=True)
    ref_cnt: int | None = state_column(detail=True)
    error: str | None = state_column(detail=True)


SCHEMAS: dict[StateResource, type[StateSchema]] = {
    StateResource.ACTORS: ActorState,
    StateResource.CLUSTER_EVENTS: ClusterEventState,
    StateResource.JOBS: JobState,
    StateResource.NODES: NodeState,
    StateResource.OBJECTS: ObjectState,
    StateResource.PLACEMENT_GROUPS: PlacementGroupState,
    StateResource.RUNTIME_ENVS: RuntimeEnvState,
    StateResource.TASKS: TaskState,
    StateResource.WORKERS: WorkerState,
}


AVAILABLE_STATES = list(SCHEMAS.values())


@dataclasses.dataclass
class ListApiOptions:
    """Raises ValueError for a filter that is not (column, "=" or "!=", value)."""

    limit: int = DEFAULT_LIMIT
    timeout: int = DEFAULT_RPC_TIMEOUT
    detail: bool = False
    filters: list[Filter] | None = dataclasses.field(default_factory=list)
    exclude_driver: bool = True
    server_timeout_multiplier: float = 0.8

    def __post_init__(self) -> None:
        self.filters = self.filters or []
        for each in self.filters:
            if len(each) != 3:
                raise ValueError(f"A filter is (column, predicate, value); {each!r} has {len(each)} parts.")
            if each[1] not in PREDICATES:
                raise ValueError(
                    f"Unsupported filter predicate {each[1]} is given. Available predicates: {', '.join(PREDICATES)}."
                )


@dataclasses.dataclass
class GetApiOptions:
    timeout: int = DEFAULT_RPC_TIMEOUT
    server_timeout_multiplier: float = 0.8


@dataclasses.dataclass
class SummaryApiOptions:
    timeout: int = DEFAULT_RPC_TIMEOUT
    filters: list[Filter] | None = dataclasses.field(default_factory=list)
    summary_by: str | None = None


@dataclasses.dataclass
class ListApiResponse:
    """The answer to a list over HTTP: `total` rows there are, of which `num_filtered` passed the filters."""

    total: int
    num_after_truncation: int
    num_filtered: int
    result: list[dict[str, Any]]
    partial_failure_warning: str | None = ""
    warnings: list[str] | None = None


@dataclasses.dataclass
class SummaryApiResponse:
    """The answer to a summary over HTTP."""

    total: int
    num_after_truncation: int
    num_filtered: int
    result: Any = None
    partial_failure_warning: str | None = ""
    warnings: list[str] | None = None


def resource_to_schema(resource: StateResource) -> type[StateSchema]:
    return SCHEMAS[resource]


def dict_to_state(d: dict[str, Any], state_resource: StateResource) -> StateSchema:
    """A row of that resource. Raises RayStateApiException when columns are missing, or unknown."""
    try:
        return SCHEMAS[state_resource](**d)
    except TypeError as error:
        raise RayStateApiException(f"Failed to convert {d} to StateSchema: {error}") from error


def filter_fields(data: dict[str, Any], state_dataclass: type[StateSchema], detail: bool) -> dict[str, Any]:
    """The columns that a list shows, None for those that are not there."""
    return {name: data.get(name) for name in state_dataclass.list_columns(detail)}


def remove_ansi_escape_codes(text: str) -> str:
    return re.sub(r"\x1b[^m]*m", "", text)


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "ray.util.state asks the cluster itself, and answers with plain rows.",
        "ActorSummaries ActorSummaryPerClass GetLogOptions Link NestedTaskSummary ObjectSummaries "
        "ObjectSummaryPerKey StateSummary TaskSummaries TaskSummaryPerFuncOrClassName protobuf_message_to_dict "
        "protobuf_to_task_state_dict state",
    )
