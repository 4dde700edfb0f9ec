"""Waiting for events awake, for a moment, while they have been coming quickly.

Floor: wire, shell: it reads the clock and yields the CPU. The rule itself, `Alertness`, is pure. A process that sleeps
frees its CPU, which then goes idle, and to wake both costs 20 to 40 µs each way on a virtual machine: more than all the
work of a small call. So caller and worker in a chain of quick calls do not sleep between them: 154 µs for a synchronous
call of an actor became 42 µs on 2 idle cores (a prototype's; see docs/performance.md). On one side only it helps half
as much: who is awake must still wake the other. It must not take CPU from anybody:

* A wait is awake only after one that ended soon, and for no longer than about what that saves: so a wrong guess costs
  no more than a right one gains, as in adaptive mutexes.
* Between two looks it yields the CPU. If somebody else has used it, more wants to run than there are CPUs, and whoever
  stays awake there loses its turn, milliseconds, when it has to yield it. So waits sleep from then on, and only a few,
  the fewer the more often this happens, try again.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable
from typing import Any

AWAKE_S = 100e-6
BRISK_S = 200e-6
"""A wait that ended within it is followed by one that is awake. It may have slept, so it is longer than `AWAKE_S`."""
PREEMPTED_S = 100e-6
"""Two looks that are so far apart: somebody else had the CPU. By themselves they take 1 or 2 µs. An interrupt, or a
thread of this process that had the interpreter, makes it 20 to 60 in 2 % of the waits, and says nothing of the
machine: when 20 µs counted, most waits slept even on an idle one, and a call took 113 µs instead of 50."""
PENALTY_GROWS = 4.0
PENALTY_SHRINKS = 0.97
"""With these it grows on when more than 2 % of the waits are disturbed: one costs 3 ms, each other gains 0.1 ms."""
PENALTY_MAX = 1000.0


class Alertness:
    """Whether the next wait is to be awake. Pure: told how each wait went."""

    __slots__ = ("_penalty", "_sleeps_left", "is_brisk")

    def __init__(self) -> None:
        self.is_brisk = False
        self._penalty = 1.0
        """How many waits sleep after one that was disturbed."""
        self._sleeps_left = 0.0

    def __repr__(self) -> str:
        return f"<Alertness brisk={self.is_brisk} penalty={self._penalty:.0f} sleeps_left={self._sleeps_left:.0f}>"

    def slept(self, duration_s: float) -> None:
        """The wait slept so long, until something came."""
        if self._sleeps_left > 0:
            self._sleeps_left -= 1
        else:
            self.is_brisk = duration_s < BRISK_S

    def came(self) -> None:
        """The wait was awake when something came."""
        if self._penalty > 1:
            self._penalty *= PENALTY_SHRINKS

    def in_vain(self) -> None:
        """Nothing came while the wait was awake."""
        self.is_brisk = False

    def disturbed(self) -> None:
        """Somebody else had the CPU while the wait was awake."""
        self.is_brisk = False
        self._sleeps_left = self._penalty
        self._penalty = min(self._penalty * PENALTY_GROWS, PENALTY_MAX)


Poll = Callable[[float | None], list[Any]]
"""Takes seconds, None for ever; returns what is ready, [] when the time is over."""


class AlertPoll:
    """A `Poll` that looks at `poll` a few times before it lets that sleep."""

    __slots__ = ("_clock", "_poll", "_yield_cpu", "alertness")

    def __init__(
        self, poll: Poll, clock: Callable[[], float] = time.perf_counter, yield_cpu: Callable[[], None] = os.sched_yield
    ) -> None:
        self._poll = poll
        self._clock = clock
        self._yield_cpu = yield_cpu
        self.alertness = Alertness()

    def __call__(self, timeout_s: float | None) -> list[Any]:
        if timeout_s == 0:
            return self._poll(0)
        began_s = self._clock()
        if self.alertness.is_brisk:
            return self._awake(began_s, timeout_s) or self._poll(timeout_s)
        ready = self._poll(timeout_s)
        if ready:
            self.alertness.slept(self._clock() - began_s)
        return ready

    def _awake(self, now_s: float, timeout_s: float | None) -> list[Any]:
        end_s = now_s + (AWAKE_S if timeout_s is None else min(AWAKE_S, timeout_s))
        while True:
            ready = self._poll(0)
            before_s, now_s = now_s, self._clock()
            if now_s - before_s > PREEMPTED_S:
                self.alertness.disturbed()
                return ready
            if ready:
                self.alertness.came()
                return ready
            if now_s > end_s:
                self.alertness.in_vain()
                return ready
            self._yield_cpu()


class AlertSelector(selectors.EpollSelector):
    """For an asyncio loop."""

    def __init__(self) -> None:
        super().__init__()
        self._alert_poll = AlertPoll(super().select)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return self._alert_poll(timeout)
