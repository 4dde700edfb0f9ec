"""What the state API asks for. Floor: common, pure.

See the package for the kinds of message and who is who.
"""

from __future__ import annotations

from ray._core.common.messages.base import Message, Part, Reply, Request
from ray._core.common.messages.control import ErrorEvent


class WorkerInfo(Part, frozen=True):
    """A process of a node. `type`: WORKER or DRIVER. `exit_type`: "" while it lives; else as Ray calls its end."""

    worker_id: bytes
    node_id: bytes
    host: str
    pid: int
    type: str
    job_id: bytes = b""
    exit_type: str = ""
    exit_detail: str = ""
    end_time_ms: int = 0
    launch_time_ms: int = 0
    """When it was asked for; `start_time_ms`: when it had connected. Of drivers the GCS knows."""
    start_time_ms: int = 0


class RuntimeEnvInfo(Part, frozen=True):
    """An environment on a node: what it is (JSON), who uses it, how its setup went. `creation_time_ms`: how long."""

    runtime_env: str
    node_id: bytes
    success: bool
    creation_time_ms: int
    ref_cnt: int
    error: str = ""


class ObjectInfo(Part, frozen=True):
    """An object as one process that has refs to it sees it. `size` -1: not known yet."""

    object_id: bytes
    size: int
    task_status: str
    reference_type: str
    process_type: str
    pid: int
    host: str


class StoreStats(Part, frozen=True):
    """The shared memory of one node. Sizes in bytes; spilled and restored count up from the node's start."""

    node_id: bytes
    size: int
    used: int
    num_objects: int
    on_disk_bytes: int = 0
    spilled_bytes: int = 0
    num_spilled: int = 0
    restored_bytes: int = 0
    taken_bytes: int = 0
    """Of the shared memory, by slabs and single objects; what of it is not `used` is room in the slabs of processes."""
    num_slabs: int = 0
    overflow_bytes: int = 0
    """Taken on disk behind the shared memory."""


class EventInfo(Part, frozen=True):
    """An error event, and when the GCS heard of it."""

    at_ms: int
    event: ErrorEvent


class TaskEvents(Message, tag=90):
    """C > G, batched: tasks have ended. Loss: the state API does not show them. `blob`: a task_events.TaskBatch."""

    job_id: bytes
    count: int
    blob: bytes


class DumpState(Request, tag=91):
    """any > G > R > C: tell what you know now. Answer: StateDump.

    `what`: tasks, objects, workers, stores, runtime_envs, metrics, or events (which G itself knows).
    """

    what: str


class StateDump(Reply, tag=92):
    """`blobs`: encoded TaskBatch, StoreStats, or lists of ObjectInfo, WorkerInfo, RuntimeEnvInfo, EventInfo or
    metrics.Family.

    `silent`: processes that did not answer in time. `forgotten`: how many ends of tasks the GCS no longer keeps.
    """

    blobs: list[bytes]
    silent: int = 0
    forgotten: int = 0


class ListLogs(Request, tag=93):
    """any > G > A of that node. Answer: LogFiles, or Failed("no_agent")."""

    node_id: bytes
    pattern: str = "*"


class LogFiles(Reply, tag=94):
    names: list[str]


class ReadLog(Request, tag=95):
    """any > G > A of that node. Answer: LogChunk, or Failed("no_agent", "io").

    Reads up to `length` bytes from `offset`, or, unless `last_lines` is -1, from where the last so many lines begin.
    """

    node_id: bytes
    name: str
    offset: int = 0
    length: int = 1 << 20
    last_lines: int = -1


class LogChunk(Reply, tag=96):
    """`offset`: where `data` begins. Empty data: the file ends there, for now."""

    data: bytes
    offset: int
