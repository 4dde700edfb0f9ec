"""What is remembered of tasks, for the state API and the timeline: events in batches, and rows made of them.

Floor: common, pure. An owner gathers the ends of its tasks and sends them in batches, which the GCS keeps as they are:
nothing is decoded until somebody asks. What is pending or running now is asked of the processes themselves at that
moment, so it costs nothing before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import msgspec

STATES = (
    "NIL",
    "PENDING_ARGS_AVAIL",
    "PENDING_NODE_ASSIGNMENT",
    "SUBMITTED_TO_WORKER",
    "RUNNING",
    "FINISHED",
    "FAILED",
)
"""In the order in which a task passes through them; a later one is the newer news."""
_RANK = {state: rank for rank, state in enumerate(STATES)}


class TaskKind(msgspec.Struct, array_like=True, frozen=True):
    """What the tasks of one template have in common. `type`: NORMAL_TASK, ACTOR_TASK or ACTOR_CREATION_TASK.

    `function_name`: "module.function" or "Class.method". Of an actor's task the actor is part of the task's id.
    """

    name: str
    function_name: str
    type: str = "NORMAL_TASK"
    resources: dict[str, int] = {}
    placement_group_id: bytes = b""
    label_selector: dict[str, str] = {}
    runtime_env: str = ""


class TaskEvent(msgspec.Struct, array_like=True, gc=False):
    """One attempt of a task as its owner, or the worker that runs it, knows it. Times in µs since the epoch, 0: not
    yet (or unknown to who tells)."""

    task_id: bytes
    attempt: int
    kind: int
    """Index into the batch's kinds."""
    state: str
    parent: bytes = b""
    created_us: int = 0
    started_us: int = 0
    ended_us: int = 0
    node_id: bytes = b""
    worker_id: bytes = b""
    pid: int = 0
    error_type: str = ""
    error: str = ""


class Span(msgspec.Struct, array_like=True, frozen=True):
    """A piece of a process's time that its code has named. Times in µs since the epoch."""

    name: str
    started_us: int
    ended_us: int
    node_id: bytes
    worker_id: bytes
    is_driver: bool
    task_id: bytes = b""
    extra: dict[str, str] = {}


class TaskBatch(msgspec.Struct, array_like=True):
    """`dropped`: how many events of this process were not kept since too many came at once."""

    job_id: bytes
    kinds: list[TaskKind]
    events: list[TaskEvent]
    dropped: int = 0
    spans: list[Span] = []

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(self)


@dataclasses.dataclass(slots=True)
class TaskRow:
    """All that is known of one attempt."""

    job_id: bytes
    kind: TaskKind
    event: TaskEvent


def decode(blob: bytes) -> TaskBatch:
    """Raises msgspec.DecodeError, or ValidationError, for what is no batch."""
    return msgspec.msgpack.decode(blob, type=TaskBatch)


def rows(batches: Iterable[TaskBatch]) -> list[TaskRow]:
    """One row per attempt, oldest first: what owner and worker told of it put together."""
    found: dict[tuple[bytes, int], TaskRow] = {}
    for batch in batches:
        for event in batch.events:
            key = (event.task_id, event.attempt)
            known = found.get(key)
            if known is None:
                found[key] = TaskRow(batch.job_id, batch.kinds[event.kind], event)
            else:
                known.event = merge(known.event, event)
                if not known.kind.resources:  # a worker does not know what its task was placed by; the owner does
                    known.kind = batch.kinds[event.kind]
    return sorted(found.values(), key=lambda row: row.event.created_us or row.event.started_us)


def merge(one: TaskEvent, other: TaskEvent) -> TaskEvent:
    """The later state, and of each field whatever is known."""
    old, new = (one, other) if _RANK[one.state] <= _RANK[other.state] else (other, one)
    known = {name: getattr(new, name) or getattr(old, name) for name in _FILLED}
    return msgspec.structs.replace(new, **known)


_FILLED = ("parent", "created_us", "started_us", "ended_us", "node_id", "worker_id", "pid", "error_type", "error")
