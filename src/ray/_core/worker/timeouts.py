"""The option `timeout=`: calls that have not ended so many seconds after their submission end with TaskTimeoutError.

Floor: worker. The owner enforces it: one timer for the earliest deadline (`deadlines`). What waits here is never
started. Of what was pushed the worker is asked how far it had come, and cancels it; so a result that the worker sent
before it heard of that still counts, and the error tells where the time went. `get` raises then, whether or not the
call could be interrupted; the record stays until its worker has answered. All methods are locked.
"""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from ray._core.common import messages as m
from ray._core.common.errors import TaskTimeoutError
from ray._core.common.ids import object_id
from ray._core.worker.deadlines import Deadlines
from ray._core.worker.objects import error_value
from ray._core.worker.task_times import spent, told

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker
    from ray._core.worker.task_record import Record

ANSWER_S = 0.5
"""How long a worker has to say how far a call had come: user code that holds the interpreter lets it say nothing."""

NOT_STARTED = "It was not started."
INTERRUPTED = "It is interrupted."
GOES_ON = (
    "It goes on, since a method that is no coroutine cannot be interrupted: its result is dropped "
    "(`ray.get_runtime_context().is_canceled()` tells it to stop)."
)
NOT_AGAIN = "It failed, and there is no time left to run it again."
UNKNOWN = "Its worker does not say how far it had come; if it still runs, its result is dropped."
"""What becomes of a call whose time is over."""


class Timeouts:
    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self._deadlines = Deadlines()
        self._armed_at_s = math.inf
        """When the earliest timer that was set will look."""

    def begin(self, record: Record, timeout_s: float) -> None:
        at_s = time.monotonic() + timeout_s
        self._deadlines.add(record.task_id, at_s)
        self._arm(at_s)

    def ended(self, record: Record) -> None:
        self._deadlines.remove(record.task_id)

    def _arm(self, at_s: float) -> None:
        if at_s < self._armed_at_s:
            self._armed_at_s = at_s
            self._core.reactor.call_later(at_s - time.monotonic(), self._look)

    def _look(self) -> None:
        now_s = time.monotonic()
        if now_s < self._armed_at_s:
            return  # a timer that was set before an earlier one
        self._armed_at_s = math.inf
        for task_id in self._deadlines.due(now_s):
            record = self._core.submitter.tasks.get(task_id)
            if record is not None:
                self._expire(record)
        next_at_s = self._deadlines.next_at_s
        if next_at_s is not None:
            self._arm(next_at_s)

    # ---------------------------------------------------------- the time is over

    def _expire(self, record: Record) -> None:
        submitter = self._core.submitter
        record.is_cancelled = record.is_expired = True
        record.retries_left = 0
        worker = submitter.worker_of(record)
        if worker is not None:
            worker.request(m.ExpireTask(task_id=record.task_id), partial(self._answered, record))
            self._core.reactor.call_later(ANSWER_S, partial(self._answered, record, None))
        elif record.actor is not None:
            record.actor.give_up_call(record, error_value(timed_out(record, NOT_STARTED, is_sent=False)))
        else:
            submitter.withdraw(record)
            submitter.fail(record, timed_out(record, NOT_STARTED, is_sent=False))

    def _answered(self, record: Record, reply: Any) -> None:
        """The worker says how far the call had come; None: it does not say. Whoever waits for it waits no more."""
        submitter = self._core.submitter
        if record.told is not None or submitter.tasks.get(record.task_id) is not record:
            return
        outcome, started_us = UNKNOWN, None
        if isinstance(reply, m.TaskExpired):
            outcome = INTERRUPTED if reply.is_interrupted else GOES_ON if reply.started_us else NOT_STARTED
            started_us = reply.started_us
        submitter.tell(record, error_value(timed_out(record, outcome, started_us)))

    def late(self, record: Record, done: m.TaskDone) -> m.TaskDone:
        """A call whose time is over was answered: what counts of the answer."""
        if record.told is None and not done.retryable:
            return done  # the worker had not heard of it when it sent the results
        core = self._core
        if record.told is None:
            core.submitter.tell(record, error_value(timed_out(record, NOT_AGAIN, done.started_us)))
            assert record.told is not None
        for index, value in enumerate(done.results, 1):
            core.refs.drop(object_id(record.task_id, index), value)
        return msgspec.structs.replace(done, results=[record.told], failed=True)


def timed_out(record: Record, outcome: str, started_us: int | None = None, is_sent: bool = True) -> TaskTimeoutError:
    """The error of a call whose time is over.

    Args:
        started_us: as `task_times.spent` has it.
        is_sent: a worker has it, or had until it was lost.
    """
    now_us = time.time_ns() // 1000
    times = spent(record, now_us, is_actors=record.actor is not None, is_sent=is_sent, started_us=started_us)
    name, timeout_s = record.template.name, record.template.timeout_s or 0.0
    text = (
        f"{name} did not end within its timeout of {timeout_s:g} s, which counts from its submission. "
        f"Where the time went: {told(times)}. {outcome}"
    )
    return TaskTimeoutError(text, task_id=record.task_id.hex(), timeout_s=timeout_s, spent=times)
