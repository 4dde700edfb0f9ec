"""`ray.cancel`, on the side of the process that submitted the task.

Floor: worker. What has not left this process fails at once; of what was pushed the worker is told (see `interrupts`),
and it answers, or its death does. A cancelled task is never retried. Methods are locked unless they say so.
Source: Ray docs, "Cancelling tasks".
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ray._core.common import messages as m
from ray._core.common.errors import TaskCancelledError, TaskTimeoutError
from ray._core.common.ids import NO_ACTOR_PREFIX
from ray._core.worker.object_ref import ObjectRef
from ray._core.worker.timeouts import NOT_STARTED, UNKNOWN, timed_out

if TYPE_CHECKING:
    from typing import Any

    from ray._core.worker.core import CoreWorker
    from ray._core.worker.task_record import Record

FORCE_S = 0.5
"""How long a worker has to end itself before its raylet kills it: user code that holds the interpreter never does."""
_TASK_ID_SIZE = 24


class Cancellation:
    def __init__(self, core: CoreWorker) -> None:
        self._core = core

    def cancel(self, ref: ObjectRef[Any], force: bool, recursive: bool) -> None:
        """Cancel the task that makes `ref`; one that has ended stays as it is. Not locked.

        Raises:
            ValueError: by force, and it is an actor's.
        """
        core, key = self._core, ref.binary()
        if force and not key[8:_TASK_ID_SIZE].startswith(NO_ACTOR_PREFIX):
            raise ValueError("force=True is not supported for actor tasks.")
        with core.lock:
            core.refs.drain()
            entry = core.objects.get(key)
            if entry is None or entry.value is not None:
                return
            if entry.owner is None:
                self.cancel_task(key[:_TASK_ID_SIZE], force, recursive)
            else:
                self._ask_owner(entry.owner, m.CancelRemoteTask(key, force, recursive))
            core.reactor.flush()

    def _ask_owner(self, owner: m.Address, request: m.CancelRemoteTask) -> None:
        try:
            self._core.peer(owner).send(request)
        except OSError:
            return  # the owner has ended, and its tasks with it

    def remote(self, request: m.CancelRemoteTask) -> None:
        """A borrower of one of our refs wants its task cancelled."""
        self.cancel_task(request.object_id[:_TASK_ID_SIZE], request.force, request.recursive)

    def cancel_children(self, parent_task_id: bytes, force: bool) -> None:
        """Cancel what a task that runs here has submitted and not got yet. Methods of actors are never forced."""
        tasks = self._core.submitter.tasks
        for record in [each for each in tasks.values() if each.parent_task_id == parent_task_id]:
            self.cancel_task(record.task_id, force and record.actor is None, recursive=True)

    def cancel_task(self, task_id: bytes, force: bool, recursive: bool) -> None:
        submitter = self._core.submitter
        record = submitter.tasks.get(task_id)
        if record is None:
            return
        record.is_cancelled, record.retries_left = True, 0
        if record.actor is not None:
            record.actor.cancel(record, recursive)
            return
        held = submitter.leases.held.get(record.lease_id)
        if held is None:  # waits for its arguments or for a worker
            submitter.withdraw(record)
            submitter.fail(record, cancelled(record, is_sent=False))
            return
        held.worker.send(m.CancelTask(task_id, force, recursive))
        if force:
            self._core.reactor.call_later(FORCE_S, partial(self._kill, record, record.lease_id))

    def _kill(self, record: Record, lease_id: int) -> None:
        """The worker has had its time; it is killed if it runs this task, and waited for while it runs another."""
        held = self._core.submitter.leases.held.get(lease_id)
        if record.task_id not in self._core.submitter.tasks or held is None or record.lease_id != lease_id:
            return
        lease = held.queue.leases.get(lease_id)
        if lease is not None and next(iter(lease.running), None) == record.task_id:
            cause = f"ray.cancel(force=True) of task {record.template.name}."
            held.raylet.send(m.KillWorker(held.worker.peer.worker_id, cause))
        else:
            self._core.reactor.call_later(FORCE_S, partial(self._kill, record, lease_id))


def cancelled(record: Record, is_sent: bool) -> TaskCancelledError | TaskTimeoutError:
    """What `ray.get` raises for a task that never ran, or (`is_sent`) whose worker was killed."""
    if record.is_expired:
        return timed_out(record, UNKNOWN if is_sent else NOT_STARTED, is_sent=is_sent)
    return TaskCancelledError(record.task_id.hex())
