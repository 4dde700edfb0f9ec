"""What this process tells of the tasks it owns and runs, for the state API and the timeline.

Floor: worker. All methods are locked. On a task's path there is one append at its end (0.25 µs); names, errors and the
encoding follow in batches. What is pending or running is told only when somebody asks (`dump`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from ray._core.common import messages as m
from ray._core.common import metrics
from ray._core.common.errors import RayTaskError
from ray._core.common.ids import WorkerID
from ray._core.common.task_events import Span, TaskBatch, TaskEvent, TaskKind
from ray._core.store import serialization
from ray._core.worker import task_metrics
from ray._core.worker.task_metrics import EndedTasks

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker
    from ray._core.worker.invocation import Call
    from ray._core.worker.task_record import CallTemplate, Record

BATCH = 1000
MOST_PER_INTERVAL = 10_000
"""Ends told per report interval; of more, which come only from tasks of microseconds, the rest is counted."""
LONGEST_ERROR = 10_000
"""Characters of an error's text: a batch of a thousand must stay a message that the GCS takes."""
MOST_LIVE = 10_000
"""Of a million pending tasks the oldest are told."""


class TaskLog:
    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self._ended: list[tuple[Any, ...]] = []
        self._spans: list[Span] = []
        self._room = MOST_PER_INTERVAL
        self._dropped = 0
        self._is_scheduled = False
        self._counts = EndedTasks()

    def __repr__(self) -> str:
        return f"<TaskLog ended={len(self._ended)} dropped={self._dropped}>"

    # ---------------------------------------------------------- the ends of tasks

    def ended(self, record: Record, attempt: int, done: m.TaskDone, worker: m.Address, pid: int) -> None:
        """A worker has answered."""
        room = self._room
        if room <= 0:
            self._dropped += 1
            return
        self._room = room - 1
        failed = done.failed
        # Not the record or the answer themselves: they hold arguments and results.
        self._ended.append(
            (
                record.task_id,
                attempt,
                record.template,
                record.parent_task_id,
                record.created_us,
                done.started_us,
                done.duration_us,
                worker,
                pid,
                failed,
                done.results[-1] if failed and done.results else None,
            )
        )
        if not self._is_scheduled or room % BATCH == 0:
            self._tend()

    def failed(self, record: Record, attempt: int, error: m.Value | None) -> None:
        """No worker answered: the task could not start, or its worker has gone."""
        if self._room <= 0:
            self._dropped += 1
            return
        self._room -= 1
        start = (record.task_id, attempt, record.template, record.parent_task_id, record.created_us)
        self._ended.append((*start, time.time_ns() // 1000, 0, None, 0, True, error))
        self._tend()

    def span(self, name: str, started_us: int, extra: dict[str, str]) -> None:
        """Something that the user's code has named ends now, in this thread's task if there is one."""
        core = self._core
        if self._room <= 0:
            self._dropped += 1
            return
        self._room -= 1
        is_driver = core.mode == "driver"
        worker_id = WorkerID.for_driver(core.job_id).binary() if is_driver else core.worker_id
        task_id = b"" if core.current is None else core.current.task_id
        now_us = time.time_ns() // 1000
        self._spans.append(Span(name, started_us, now_us, core.node.node_id, worker_id, is_driver, task_id, extra))
        self._tend()

    def _tend(self) -> None:
        """Report a full batch, and have the rest reported at the end of the interval."""
        interval_s = self._core.config.task_events_report_interval_ms / 1000
        if interval_s <= 0:
            self._ended.clear()
            self._spans.clear()
            return
        if len(self._ended) + len(self._spans) >= BATCH:
            self._report()
        if not self._is_scheduled:
            self._is_scheduled = True
            self._core.reactor.call_later(interval_s, self._interval_over)

    def _interval_over(self) -> None:
        self._is_scheduled = False
        self._room = MOST_PER_INTERVAL
        self.flush()

    def flush(self) -> None:
        """Send what has gathered to the GCS."""
        if self._ended or self._spans or self._dropped:
            self._report()

    def _report(self) -> None:
        batch = self._described()
        self._ended, self._spans, self._dropped = [], [], 0
        self._counts.add(batch)
        count = len(batch.events) + len(batch.spans)
        self._core.gcs.send(m.TaskEvents(batch.job_id, count, batch.encode()))

    def _described(self) -> TaskBatch:
        kinds = _Kinds()
        events = []
        for task_id, attempt, template, parent, created_us, start_us, us, worker, pid, failed, error in self._ended:
            if not template.message.is_told:
                continue
            state = "FAILED" if failed else "FINISHED"
            event = TaskEvent(
                task_id, attempt, kinds.number(template), state, parent, created_us, start_us, start_us + us
            )
            event.pid = pid
            if worker is None:
                event.started_us = 0
            else:
                event.node_id, event.worker_id = worker.node_id, worker.worker_id
            if failed:
                event.error_type, told = describe_error(error)
                event.error = shortened(told)
            events.append(event)
        return TaskBatch(self._core.job_id, kinds.kinds, events, self._dropped, list(self._spans))

    # ---------------------------------------------------------- what is going on now

    def dump(self, what: str, running: Mapping[Call, int]) -> list[bytes]:
        if what == "tasks":
            # What has ended is told to the GCS as well, later; who asks puts both together.
            return [self._described().encode(), self._live(running).encode()]
        if what == "objects":
            return [msgspec.msgpack.encode(self._objects())]
        if what == "metrics":
            return [msgspec.msgpack.encode(self._metrics(running))]
        return []

    def _live(self, running: Mapping[Call, int]) -> TaskBatch:
        core, kinds = self._core, _Kinds()
        events = []
        for record in islice(core.submitter.tasks.values(), MOST_LIVE):
            if not record.template.message.is_told:
                continue
            state = core.submitter.state_of(record)
            kind = kinds.number(record.template)
            event = TaskEvent(record.task_id, record.attempt, kind, state, record.parent_task_id)
            event.created_us = record.created_us
            events.append(event)
        for call, attempt in list(running.items()):
            if not call.template.is_told:
                continue
            event = TaskEvent(call.task_id, attempt, kinds.number(call.template), "RUNNING")
            event.started_us = call.started_us
            event.node_id, event.worker_id, event.pid = core.node.node_id, core.worker_id, os.getpid()
            events.append(event)
        dropped = max(len(core.submitter.tasks) - MOST_LIVE, 0)
        return TaskBatch(core.job_id, kinds.kinds, events, dropped)

    def _metrics(self, running: Mapping[Call, int]) -> list[metrics.Family]:
        core = self._core
        tags = {
            "Component": "core_worker",
            "NodeAddress": core.node.host,
            "SessionName": os.path.basename(core.node.session_dir),
            "Version": core.node.version,
            "WorkerId": (WorkerID.for_driver(core.job_id) if core.mode == "driver" else WorkerID(core.worker_id)).hex(),
        }
        found = metrics.registry.families(tags)
        counts = self._counts.counts(self._described())
        for record in islice(core.submitter.tasks.values(), MOST_LIVE):
            counts[record.template.message.name, core.submitter.state_of(record), record.attempt > 0, "owner"] += 1
        blocked = core.values.blocked_in()
        states = {call: blocked.get(call, "RUNNING") for call in running}
        for call, attempt in running.items():
            counts.update(task_metrics.running(call.template.name, states[call], attempt > 0))
        found.append(task_metrics.tasks_family(counts, core.job_id, tuple(tags.items())))
        executor = core.executor
        if executor is not None and executor.actor is not None:
            state = "ALIVE_RUNNING_TASKS" if running else "ALIVE_IDLE"
            found.append(task_metrics.actor_family(executor.idle_name, state, core.job_id, tuple(tags.items())))
        return found

    def _objects(self) -> list[m.ObjectInfo]:
        core = self._core
        found = []
        for key, entry in islice(core.objects.items(), MOST_LIVE):
            value = entry.value
            size = -1
            if value is not None:
                size = value.location.size if value.location is not None else len(value.blob or b"")
            record = core.submitter.tasks.get(key[:-4])
            status = core.submitter.state_of(record) if record is not None else "FINISHED" if value else "NIL"
            kind = (
                "ACTOR_HANDLE"
                if entry.on_free is not None
                else "USED_BY_PENDING_TASK"
                if entry.held
                else "LOCAL_REFERENCE"
                if entry.local
                else "PINNED_IN_MEMORY"
            )
            mode = core.mode.upper()
            found.append(m.ObjectInfo(key, size, status, kind, mode, os.getpid(), core.node.host))
        return found


class _Kinds:
    """Numbers the templates of a batch."""

    def __init__(self) -> None:
        self.kinds: list[TaskKind] = []
        self._numbers: dict[int, int] = {}

    def number(self, template: CallTemplate | m.TaskTemplate) -> int:
        known = self._numbers.get(id(template))
        if known is None:
            known = self._numbers[id(template)] = len(self.kinds)
            self.kinds.append(_kind(template))
        return known


def _kind(template: CallTemplate | m.TaskTemplate) -> TaskKind:
    message = template if isinstance(template, m.TaskTemplate) else template.message
    kind = "ACTOR_TASK" if message.method else "NORMAL_TASK"
    scheduling: m.SchedulingClass | None = getattr(template, "scheduling", None)  # a method is not scheduled
    if scheduling is None:
        return TaskKind(message.name, message.function_name, kind)
    group = scheduling.strategy.placement_group_id
    resources, selector = scheduling.resources, scheduling.label_selector
    return TaskKind(message.name, message.function_name, kind, resources, group, selector, scheduling.runtime_env)


def shortened(text: str, longest: int = LONGEST_ERROR) -> str:
    """The beginning and the end of a text that is too long."""
    return text if len(text) <= longest else f"{text[: longest // 2]}\n  [...]\n{text[-longest // 2 :]}"


def describe_error(error: m.Value | None) -> tuple[str, str]:
    """(error type, message) as the state API names them. The value is the user's: what cannot be read is said so."""
    if error is None or error.blob is None:
        return "WORKER_DIED", "The worker that ran the task died."
    try:
        found = serialization.deserialize(error.blob).error
        if isinstance(found, RayTaskError):
            return "TASK_EXECUTION_EXCEPTION", f"User exception:\n{found}"
        return _TYPES.get(type(found).__name__, type(found).__name__), str(found)
    except Exception as problem:  # user code: its class is not here, or its __str__ is broken
        return "TASK_EXECUTION_EXCEPTION", f"An error that cannot be shown: {problem!r}"


_TYPES = {
    "ActorDiedError": "ACTOR_DIED",
    "ActorUnavailableError": "ACTOR_UNAVAILABLE",
    "NodeDiedError": "NODE_DIED",
    "ObjectLostError": "OBJECT_LOST",
    "OutOfMemoryError": "OUT_OF_MEMORY",
    "OwnerDiedError": "OWNER_DIED",
    "RuntimeEnvSetupError": "RUNTIME_ENV_SETUP_FAILED",
    "TaskCancelledError": "TASK_CANCELLED",
    "TaskUnschedulableError": "TASK_UNSCHEDULABLE_ERROR",
    "WorkerCrashedError": "WORKER_DIED",
}
