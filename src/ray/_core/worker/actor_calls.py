"""The calls of this process to one actor: which are sent, which wait, what becomes of them when it restarts or dies.

Floor: worker, pure. The shell (`actors.py`) reports what happened and carries out the orders.

Calls leave in the order in which they were made; one whose arguments are not there yet holds back those behind it,
unless the actor runs calls in any order. The connection keeps the order, so calls need no sequence numbers. A call that
was sent and not answered when the actor is lost may have run: it is sent again if it has retries, else it fails.
Source: Ray docs, "Actor fault tolerance", "Task order of execution".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Protocol

import msgspec


class Call(Protocol):
    """What this module knows of a call. `unresolved`: arguments that are not there. `retries_left` -1: for ever."""

    task_id: bytes
    unresolved: int
    retries_left: int
    attempt: int


class Push(msgspec.Struct, frozen=True):
    call: Call


class Fail(msgspec.Struct, frozen=True):
    """`is_dead`: the actor is dead for good (ActorDiedError), else it may come back (ActorUnavailableError)."""

    call: Call
    is_dead: bool


Order = Push | Fail
PENDING, ALIVE, LOST, RESTARTING, DEAD = "PENDING", "ALIVE", "LOST", "RESTARTING", "DEAD"


class CallQueue:
    """`state`: PENDING before the first start, LOST while only the connection is known to be gone."""

    def __init__(self, in_order: bool) -> None:
        self.in_order = in_order
        self.state = PENDING
        self.waiting: dict[bytes, Call] = {}
        self.sent: dict[bytes, Call] = {}

    def __repr__(self) -> str:
        return f"<CallQueue {self.state} waiting={len(self.waiting)} sent={len(self.sent)}>"

    def __len__(self) -> int:
        return len(self.waiting) + len(self.sent)

    def submit(self, call: Call) -> list[Order]:
        """A call was made; its arguments may still be missing."""
        if self.state is ALIVE and not call.unresolved and (not self.waiting or not self.in_order):
            self.sent[call.task_id] = call  # the usual case, kept short
            return [Push(call)]
        if self.state is DEAD or (self.state is RESTARTING and call.retries_left == 0):
            return [Fail(call, self.state is DEAD)]
        self.waiting[call.task_id] = call
        return []

    def ready(self, call: Call) -> list[Order]:
        """The arguments of a waiting call have come."""
        if self.in_order or self.state is not ALIVE:
            return list(self._flow())
        del self.waiting[call.task_id]
        self.sent[call.task_id] = call
        return [Push(call)]

    def alive(self) -> list[Order]:
        """The actor can be reached, at a first or a new start."""
        self.state = ALIVE
        return list(self._flow())

    def finished(self, task_id: bytes) -> list[Order]:
        """The call was answered, or given up by its owner (cancelled, a failed argument)."""
        if self.sent.pop(task_id, None) is None and self.waiting.pop(task_id, None) is not None:
            return list(self._flow())
        return []

    def retry(self, call: Call) -> list[Order]:
        """The call's own exception is to be retried: it goes again, ahead of what waits."""
        call.attempt += 1
        if call.retries_left > 0:
            call.retries_left -= 1
        self.sent.pop(call.task_id, None)
        self.waiting = {call.task_id: call, **self.waiting}
        return list(self._flow())

    def lost(self, was_reached: bool = True) -> None:
        """The connection is gone; whether the actor is, others will tell (`restarting`, `dead`, `unreachable`).

        `was_reached` False: it never came to be, and nothing that was sent has left.
        """
        if self.state is ALIVE:
            self.state = LOST
        if not was_reached:
            self.sent, self.waiting = {}, {**self.sent, **self.waiting}

    def restarting(self) -> list[Order]:
        """The actor has died and will start again."""
        self.state = RESTARTING
        return self._resend_or_fail()

    def unreachable(self) -> list[Order]:
        """The actor lives, but the connection to it broke; what was sent may or may not have arrived."""
        return self._resend_or_fail()

    def dead(self) -> list[Order]:
        """The actor will never start again: every call fails."""
        self.state = DEAD
        orders: list[Order] = [Fail(call, True) for call in (*self.sent.values(), *self.waiting.values())]
        self.sent, self.waiting = {}, {}
        return orders

    def give_up(self) -> list[Order]:
        """Nobody can tell what becomes of the actor, and it cannot be reached: every call fails; later ones may not."""
        orders: list[Order] = [Fail(call, False) for call in (*self.sent.values(), *self.waiting.values())]
        self.sent, self.waiting = {}, {}
        return orders

    def _resend_or_fail(self) -> list[Order]:
        orders: list[Order] = []
        again: dict[bytes, Call] = {}
        for call in self.sent.values():
            if call.retries_left == 0:
                orders.append(Fail(call, False))
                continue
            if call.retries_left > 0:
                call.retries_left -= 1
            call.attempt += 1
            again[call.task_id] = call
        self.sent, self.waiting = {}, {**again, **self.waiting}
        return orders

    def _flow(self) -> Iterator[Order]:
        if self.state is not ALIVE:
            return
        if not self.in_order:
            ready = [call for call in self.waiting.values() if not call.unresolved]
        else:
            ready = list(itertools.takewhile(lambda call: not call.unresolved, self.waiting.values()))
        for call in ready:
            del self.waiting[call.task_id]
            self.sent[call.task_id] = call
            yield Push(call)
