"""What is known of a job, its states, and the requests about it. Pure but for `JobInfoStorage`.

Source: Ray docs, "Ray Jobs", REST API; the names and texts are Ray's.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import random
import string
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ray._common.runtime_env_uri import parse_uri
from ray._private.not_included import absent_names

Request = TypeVar("Request")

JOB_ID_METADATA_KEY = "job_submission_id"
JOB_NAME_METADATA_KEY = "job_name"
JOB_ACTOR_NAME_TEMPLATE = "_ray_internal_job_actor_{job_id}"
SUPERVISOR_ACTOR_RAY_NAMESPACE = "SUPERVISOR_ACTOR_RAY_NAMESPACE"
RAY_INTERNAL_NAMESPACE_PREFIX = "_ray_internal_"
KV_NAMESPACE = "job"
CURRENT_VERSION = "4"
JOB_LOGS_PATH_TEMPLATE = "job-driver-{submission_id}.log"


class JobStatus(str, enum.Enum):  # noqa: UP042 - StrEnum prints otherwise
    """Where a submitted job is. The last three are for good."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    def __str__(self) -> str:
        return self.value

    def is_terminal(self) -> bool:
        return self in (JobStatus.STOPPED, JobStatus.SUCCEEDED, JobStatus.FAILED)


class JobErrorType(str, enum.Enum):  # noqa: UP042
    """Why a job failed."""

    RUNTIME_ENV_SETUP_FAILURE = "RUNTIME_ENV_SETUP_FAILURE"
    JOB_SUPERVISOR_ACTOR_START_TIMEOUT = "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"
    JOB_SUPERVISOR_ACTOR_START_FAILURE = "JOB_SUPERVISOR_ACTOR_START_FAILURE"
    JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE = "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE"
    JOB_SUPERVISOR_ACTOR_DIED = "JOB_SUPERVISOR_ACTOR_DIED"
    JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE = "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE"
    JOB_ENTRYPOINT_COMMAND_START_ERROR = "JOB_ENTRYPOINT_COMMAND_START_ERROR"
    JOB_ENTRYPOINT_COMMAND_ERROR = "JOB_ENTRYPOINT_COMMAND_ERROR"


class JobType(str, enum.Enum):  # noqa: UP042
    """SUBMISSION: by the REST API. DRIVER: a program that called `ray.init`."""

    SUBMISSION = "SUBMISSION"
    DRIVER = "DRIVER"


MESSAGES = {
    JobStatus.PENDING: "Job has not started yet.",
    JobStatus.RUNNING: "Job is currently running.",
    JobStatus.STOPPED: "Job was intentionally stopped.",
    JobStatus.SUCCEEDED: "Job finished successfully.",
    JobStatus.FAILED: "Job failed.",
}


@dataclasses.dataclass
class JobInfo:
    """A submitted job, as it is kept. Times in milliseconds since 1970."""

    status: JobStatus
    entrypoint: str
    message: str | None = None
    error_type: JobErrorType | None = None
    start_time: int | None = None
    end_time: int | None = None
    metadata: dict[str, str] | None = None
    runtime_env: dict[str, Any] | None = None
    entrypoint_num_cpus: float | None = None
    entrypoint_num_gpus: float | None = None
    entrypoint_memory: int | None = None
    entrypoint_resources: dict[str, float] | None = None
    entrypoint_label_selector: dict[str, str] | None = None
    driver_agent_http_address: str | None = None
    driver_node_id: str | None = None
    driver_exit_code: int | None = None

    def __post_init__(self) -> None:
        self.status = JobStatus(self.status)
        self.error_type = JobErrorType(self.error_type) if self.error_type else None
        if self.message is None:
            self.message = MESSAGES[self.status]

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(value, "value", value) for name, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_json(cls, json_dict: Mapping[str, Any]) -> JobInfo:
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in json_dict.items() if name in names})


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class KeyValues(Protocol):
    """The cluster's key-value table, as far as jobs need it."""

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, value: bytes, overwrite: bool) -> bool:
        """Whether the key is new."""

    def delete(self, key: str) -> bool: ...

    def keys(self, prefix: str) -> list[str]: ...


class JobInfoStorage:
    """Descriptions of jobs in the key-value table, so that they outlive whoever writes them."""

    PREFIX = "_ray_internal_job_info_"

    def __init__(self, table: KeyValues) -> None:
        self._table = table

    def add(self, job_id: str, info: JobInfo) -> bool:
        """False: there is a job of this id already, and nothing has changed."""
        return self._table.put(self.PREFIX + job_id, json.dumps(info.to_json()).encode(), False)

    def get(self, job_id: str) -> JobInfo | None:
        found = self._table.get(self.PREFIX + job_id)
        return None if found is None else JobInfo.from_json(json.loads(found))

    def all(self) -> dict[str, JobInfo]:
        ids = [key[len(self.PREFIX) :] for key in self._table.keys(self.PREFIX)]
        found = {job_id: self.get(job_id) for job_id in ids}
        return {job_id: info for job_id, info in found.items() if info is not None}

    def change(self, job_id: str, change: Callable[[JobInfo], JobInfo]) -> JobInfo | None:
        """Replace a description; one that has been deleted, or is final, stays as it is."""
        info = self.get(job_id)
        if info is None or info.status.is_terminal():
            return info
        changed = change(info)
        self._table.put(self.PREFIX + job_id, json.dumps(changed.to_json()).encode(), True)
        return changed

    def set_status(self, job_id: str, status: JobStatus, message: str | None = None, **fields: Any) -> JobInfo | None:
        """Say that a job is somewhere else now; a final status gets its time."""

        def change(info: JobInfo) -> JobInfo:
            end_time = now_ms() if status.is_terminal() else None
            text = MESSAGES[status] if message is None else message
            return dataclasses.replace(info, status=status, message=text, end_time=end_time, **fields)

        return self.change(job_id, change)

    def delete(self, job_id: str) -> bool:
        return self._table.delete(self.PREFIX + job_id)


def new_submission_id() -> str:
    """`raysubmit_` and 16 characters, none of which is easily taken for another."""
    characters = "".join(c for c in string.ascii_letters + string.digits if c not in "0O1lI")
    return "raysubmit_" + "".join(random.choices(characters, k=16))


# ------------------------------------------------------------------ requests


def uri_to_http_components(package_uri: str) -> tuple[str, str]:
    """Protocol and name of a package, as /api/packages has them in its path. Raises ValueError for another kind."""
    if not package_uri.endswith((".zip", ".whl")):
        raise ValueError(f"package_uri ({package_uri}) does not end in .zip or .whl")
    protocol, package_name = parse_uri(package_uri)
    return protocol.value, package_name


def http_uri_components_to_uri(protocol: str, package_name: str) -> str:
    """The reverse of `uri_to_http_components`."""
    return f"{protocol}://{package_name}"


def validate_request_type(json_data: Any, request_type: type[Request]) -> Request:
    """A request of that type from a body. Raises TypeError for a field that is unknown, or of a wrong type."""
    return request_type(**json_data)


@dataclasses.dataclass
class JobSubmitResponse:
    """`job_id` is the older name of the submission id."""

    job_id: str
    submission_id: str


@dataclasses.dataclass
class JobStopResponse:
    stopped: bool


@dataclasses.dataclass
class JobDeleteResponse:
    deleted: bool


@dataclasses.dataclass
class JobLogsResponse:
    logs: str


@dataclasses.dataclass
class JobSubmitRequest:
    """What a client wants run. Raises TypeError for a field of a wrong type."""

    entrypoint: str
    submission_id: str | None = None
    job_id: str | None = None
    runtime_env: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    entrypoint_num_cpus: float | None = None
    entrypoint_num_gpus: float | None = None
    entrypoint_memory: int | None = None
    entrypoint_resources: dict[str, float] | None = None
    entrypoint_label_selector: dict[str, str] | None = None

    def __post_init__(self) -> None:
        _check("entrypoint", self.entrypoint, str, "string")
        for name in ("submission_id", "job_id"):
            _check_optional(name, getattr(self, name), str, "string")
        for name in ("runtime_env", "metadata", "entrypoint_resources", "entrypoint_label_selector"):
            value = getattr(self, name)
            _check_optional(name, value, dict, "dict")
            if not all(isinstance(key, str) for key in value or {}):
                raise TypeError(f"{name} keys must be strings, got {value}")
        for name in ("metadata", "entrypoint_label_selector"):
            for value in (getattr(self, name) or {}).values():
                if not isinstance(value, str):
                    raise TypeError(f"{name} values must be strings, got {type(value)}")
        for name in ("entrypoint_num_cpus", "entrypoint_num_gpus"):
            _check_optional(name, getattr(self, name), (int, float), "number")
        _check_optional("entrypoint_memory", self.entrypoint_memory, int, "integer")
        for value in (self.entrypoint_resources or {}).values():
            if not isinstance(value, (int, float)):
                raise TypeError(f"entrypoint_resources values must be numbers, got {type(value)}")

    @classmethod
    def parse(cls, body: Any) -> JobSubmitRequest:
        """From a request's JSON. Raises TypeError for a field that is unknown, or of a wrong type."""
        if not isinstance(body, dict):
            raise TypeError(f"The body must be a JSON object, got {type(body)}")
        return cls(**body)

    def has_resources(self) -> bool:
        """Whether it runs where they are, instead of on the head."""
        amounts = (self.entrypoint_num_cpus, self.entrypoint_num_gpus, self.entrypoint_memory)
        return any(amounts) or bool(self.entrypoint_resources) or bool(self.entrypoint_label_selector)


def _check(name: str, value: Any, kind: Any, shown: str) -> None:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{name} must be a {shown}, got {type(value)}")


def _check_optional(name: str, value: Any, kind: Any, shown: str) -> None:
    if value is not None:
        _check(name, value, kind, shown)


@dataclasses.dataclass
class DriverInfo:
    """The driver process of a job: its job id in hex, where it runs, and its pid."""

    id: str
    node_ip_address: str
    pid: str

    def dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(kw_only=True)
class JobDetails:
    """A job as the REST API tells it."""

    type: JobType
    job_id: str | None = None
    submission_id: str | None = None
    driver_info: DriverInfo | None = None
    status: JobStatus
    entrypoint: str
    message: str | None = None
    error_type: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    metadata: dict[str, str] | None = None
    runtime_env: dict[str, Any] | None = None
    driver_agent_http_address: str | None = None
    driver_node_id: str | None = None
    driver_exit_code: int | None = None

    def __post_init__(self) -> None:
        self.type, self.status = JobType(self.type), JobStatus(self.status)
        if isinstance(self.driver_info, dict):
            self.driver_info = DriverInfo(**self.driver_info)

    def dict(self) -> dict[str, Any]:
        """With plain values, as the REST API sends it."""
        return {name: getattr(value, "value", value) for name, value in dataclasses.asdict(self).items()}


def details_of(submission_id: str, info: JobInfo, driver: DriverInfo | None) -> JobDetails:
    """A submitted job, and its driver if that has connected."""
    return JobDetails(
        type=JobType.SUBMISSION,
        job_id=driver.id if driver else None,
        submission_id=submission_id,
        driver_info=driver,
        status=info.status,
        entrypoint=info.entrypoint,
        message=info.message,
        error_type=info.error_type.value if info.error_type else None,
        start_time=info.start_time,
        end_time=info.end_time,
        metadata=info.metadata,
        runtime_env=info.runtime_env,
        driver_agent_http_address=info.driver_agent_http_address,
        driver_node_id=info.driver_node_id,
        driver_exit_code=info.driver_exit_code,
    )


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "JobInfoStorageClient",
    )
