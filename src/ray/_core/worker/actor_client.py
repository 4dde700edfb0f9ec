"""This process's dealings with one actor: its calls, its connection, and what becomes of it.

Floor: worker, shell around `actor_calls.CallQueue`, which decides what is sent when. All methods are locked unless they
say so.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from ray._core.common import messages as m
from ray._core.common.actor_death import death_reason
from ray._core.common.errors import (
    ActorDiedError,
    ActorPlacementGroupRemoved,
    ActorUnavailableError,
    ActorUnschedulableError,
    OutOfMemoryError,
    RuntimeEnvSetupError,
)
from ray._core.store import serialization
from ray._core.wire.connection import Connection
from ray._core.wire.reactor import Waiter
from ray._core.worker.actor_calls import CallQueue, Fail, Order, Push
from ray._core.worker.cancellation import cancelled
from ray._core.worker.objects import error_value
from ray._core.worker.task_record import Packed, Record

if TYPE_CHECKING:
    from ray._core.worker.actors import Actors

LAST_ANSWERS_S = 1.0
"""How long the connection to an actor that has ended may stay open before its open calls are given up."""
RECONNECT_S = 0.2
"""How long to wait before an actor whose connection broke, but which the GCS holds for alive, is tried again."""
DEATH_NEWS_S = 5.0
"""How long an actor that cannot be reached may be unheard of before calls that are not to be retried fail."""


class ActorClient:
    """This process's dealings with one actor; shared by all handles on it here."""

    def __init__(self, actors: Actors, actor_id: bytes, in_order: bool) -> None:
        self._actors = actors
        self.actor_id = actor_id
        self.queue = CallQueue(in_order)
        self._warn_at = actors.core.config.actor_excess_queueing_warn_threshold
        self.info: m.ActorInfo | None = None
        self.connection: Connection | None = None
        self.is_subscribed = False
        self.constructor: Packed | None = None
        """Keeps what the constructor takes, for restarts."""
        self.registration: Waiter | None = None
        """Finished when the GCS has answered; None: there is nothing to wait for."""
        self._ending: m.ActorInfo | None = None
        """It has ended, or will start anew; told to the calls once the connection has told its last answers."""
        self._given_up = ""
        """Why its calls fail now: the GCS cannot be reached, nor the actor."""
        self._lost_at_s: float | None = None
        """Since when it is sought: its connection broke (monotonic), and nothing tells yet whether it lives."""

    def _warn_of_many(self) -> None:
        """A program that submits faster than the actor works fills the memory. Told at each doubling. Locked."""
        core, count = self._actors.core, self._warn_at
        self._warn_at *= 2
        name = self.info.class_name if self.info is not None else ""
        text = (
            f"Warning: More than {count} tasks are pending submission to actor {name} with actor_id "
            f"{self.actor_id.hex()}. To reduce memory usage, wait for these tasks to finish before sending more."
        )
        core.gcs.send(m.ErrorEvent(core.job_id, "excess_queueing_warning", text))

    def await_registration(self) -> None:
        """Not locked."""
        waiter = self.registration
        if waiter is not None:
            self._actors.core.reactor.wait(waiter)
            self.registration = None

    # ---------------------------------------------------------- calls

    def submit(self, record: Record) -> None:
        if not self.is_subscribed:
            self._actors.subscribe(self)
        queue = self.queue
        if len(queue.waiting) + len(queue.sent) >= self._warn_at:
            self._warn_of_many()
        self._carry_out(queue.submit(record))
        if self.connection is None and self._lost_at_s is None and self.info is not None and self.info.state == "ALIVE":
            self._connect()

    def ready(self, record: Record) -> None:
        if record.task_id not in self.queue.waiting:
            return  # given up meanwhile
        error = self._actors.submitter.failed_dependency(record)
        if error is None:
            self._carry_out(self.queue.ready(record))
        else:
            self.give_up_call(record, error)

    def done(self, record: Record, done: m.TaskDone, again: bool) -> None:
        """The call was answered; `again`: its exception is to be retried."""
        if again:
            self._actors.submitter.discard(done)
            self._carry_out(self.queue.retry(record))
            return
        if record.is_cancelled and not done.failed and not record.is_expired:
            # It had ended before the actor heard of the cancelling.
            self._actors.submitter.discard(done)
            self.give_up_call(record, error_value(cancelled(record, is_sent=True)))
            return
        orders = self.queue.finished(record.task_id)
        self._actors.submitter.finish(record, done)
        self._carry_out(orders)

    def give_up_call(self, record: Record, error: m.Value) -> None:
        """The call will not be made: an argument of it is an error, or it was cancelled."""
        orders = self.queue.finished(record.task_id)
        self._actors.submitter.fail(record, error)
        self._carry_out(orders)

    def cancel(self, record: Record, recursive: bool) -> None:
        """A call that has not left is dropped; the actor is told of one that has."""
        if record.task_id in self.queue.waiting:
            self.give_up_call(record, error_value(cancelled(record, is_sent=False)))
        elif self.connection is not None:
            self.connection.send(m.CancelTask(record.task_id, False, recursive))

    def _carry_out(self, orders: list[Order]) -> None:
        submitter = self._actors.submitter
        for order in orders:
            record = order.call
            assert isinstance(record, Record)
            if isinstance(order, Push):
                error = submitter.failed_dependency(record) if record.packed.deps else None
                if error is not None:
                    self.give_up_call(record, error)
                elif self.connection is not None:
                    if record.attempt:
                        record.note(f"sent again, attempt {record.attempt + 1}")
                    submitter.push(record, self.connection)
            else:
                is_void = record.is_cancelled
                submitter.fail(record, cancelled(record, is_sent=True) if is_void else self._error(order))

    def _error(self, order: Fail) -> m.Value:
        if order.is_dead:
            assert self.info is not None
            return error_value(death_error(self.info))
        why = self._given_up or "The actor is restarting, or its process has gone"
        return error_value(ActorUnavailableError(why, self.actor_id))

    # ---------------------------------------------------------- what becomes of it

    def changed(self, info: m.ActorInfo) -> None:
        known = self.info
        if known is not None and (info.incarnation < known.incarnation or known.state == "DEAD"):
            return  # older than what is known
        self.info = info
        if info.state == "ALIVE":
            if self._ending is not None:
                self._end()
            is_known = known is not None and known.incarnation == info.incarnation
            if is_known and (self.connection is not None or self._lost_at_s is not None):
                return
            if self.queue.sent:  # of an earlier life whose end was not heard of
                self._disconnected()
                self._carry_out(self.queue.restarting())
            self._connect()
        elif info.state in ("RESTARTING", "DEAD"):
            self._ending = info
            if self.connection is None or not self.queue.sent:
                self._end()
            else:  # answers may lie unread in it; it closes with the process
                self._actors.core.reactor.call_later(LAST_ANSWERS_S, self._end)

    def _end(self) -> None:
        """The process has ended, and all that it answered has been read; again: nothing."""
        info, self._ending = self._ending, None
        if info is not None:
            self._disconnected()
            if info.state == "DEAD":
                self.constructor = None
            self._carry_out(self.queue.dead() if info.state == "DEAD" else self.queue.restarting())

    def _connect(self) -> None:
        assert self.info is not None and self.info.address is not None
        try:
            self.connection = self._actors.core.peer(self.info.address)
        except OSError:  # it has just died: the GCS will say so
            self._seek()
            return
        self._lost_at_s = None
        self._actors.by_connection[self.connection] = self
        self._carry_out(self.queue.alive())

    def _disconnected(self) -> None:
        self._lost_at_s = None
        if self.connection is not None:
            self._attempts_lost(self.connection)
            self._actors.by_connection.pop(self.connection, None)
            self.connection = None

    def _attempts_lost(self, connection: Connection) -> None:
        """No answer to what was sent on it will be heard."""
        for task_id in self.queue.sent:
            self._actors.core.strays.attempt_lost(task_id, connection.peer.node_id)

    def lost(self, connection: Connection) -> None:
        """The connection is gone. Usually the process is, and the GCS publishes that; ask, in case it did before."""
        if self._ending is not None:
            self._end()
            return
        self._disconnected()
        self.queue.lost(was_reached=connection.was_open)
        self._seek()

    def _seek(self) -> None:
        if self._lost_at_s is None:
            self._lost_at_s = time.monotonic()
        self._actors.core.reactor.call_later(RECONNECT_S, partial(self._look_again, self._lost_at_s))

    def _look_again(self, lost_at_s: float) -> None:
        """Still no news: see whether its process answers. Only then is it known that what was sent got no answer."""
        info = self.info
        if self._lost_at_s != lost_at_s or info is None or info.state != "ALIVE" or not self.is_subscribed:
            return
        assert info.address is not None
        try:
            connection = self._actors.core.peer(info.address)
        except OSError as error:
            self._answered(lost_at_s, m.Failed(kind="connection_lost", message=str(error)))
        else:
            connection.request(m.Ping(), partial(self._answered, lost_at_s))

    def _answered(self, lost_at_s: float, reply: m.Reply) -> None:
        """Its process answers; or it does not, and the GCS will tell of its end before long."""
        if self._lost_at_s != lost_at_s:
            return  # meanwhile there was news
        if not isinstance(reply, m.Failed):
            self._carry_out(self.queue.unreachable())
            self._connect()
            return
        if time.monotonic() > lost_at_s + DEATH_NEWS_S:
            self._carry_out(self.queue.unreachable())
        self._actors.look_up(self)
        self._seek()

    def give_up(self, why: str) -> None:
        """The GCS is away for good: an actor that cannot be reached will not be heard of. A later call tries again."""
        if self.connection is None:
            self.is_subscribed, self._lost_at_s = False, None
            self._given_up = why
            self._carry_out(self.queue.give_up())
            self._given_up = ""


def unknown_actor(actor_id: bytes) -> m.ActorInfo:
    return m.ActorInfo(
        actor_id=actor_id,
        job_id=actor_id[-4:],
        name="",
        namespace="",
        class_name="",
        state="DEAD",
        incarnation=0,
        num_restarts=0,
        max_restarts=0,
        death_kind="UNKNOWN",
        death_cause="The cluster does not know it: it died long ago, or belonged to another cluster.",
    )


def death_error(info: m.ActorInfo) -> Exception:
    """What a call on a dead actor raises."""
    hex_id = info.actor_id.hex()
    if info.error is not None:
        error = serialization.deserialize(info.error).error
        if info.death_kind != "INIT_FAILED" and isinstance(error, Exception):
            return error
        return ActorDiedError(error, actor_id=hex_id, class_name=info.class_name, actor_init_failed=True)
    text = f"{info.class_name} {hex_id}: {info.death_cause}"
    match info.death_kind:
        case "UNSCHEDULABLE":
            return ActorUnschedulableError(text)
        case "OUT_OF_MEMORY":
            return OutOfMemoryError(text)
        case "PLACEMENT_GROUP_REMOVED":
            return ActorPlacementGroupRemoved(text)
        case "RUNTIME_ENV":
            return RuntimeEnvSetupError(info.death_cause)
    return ActorDiedError(
        f"The actor is dead because {death_reason(info)}",
        actor_id=hex_id,
        class_name=info.class_name,
        name=info.name,
        namespace=info.namespace,
        pid=info.pid,
        ip=info.last_host,
        reason=info.death_kind,
        preempted=info.preempted,
    )
