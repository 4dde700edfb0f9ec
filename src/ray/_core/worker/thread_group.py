"""The threads of a concurrent actor, or of one of its concurrency groups. Floor: worker.

A thread that is done with a call takes the next one. Another thread is woken only if that does not happen soon: to wake
one for each call, which then takes turns with the others at one interpreter, costs as much as a small call.
"""

from __future__ import annotations

import threading
import time
from _thread import LockType, allocate_lock
from collections import deque
from collections.abc import Callable
from typing import Any

from ray._core.common import messages as m
from ray._core.worker.invocation import Call

PATIENCE_S = 0.001
"""A call that has run for so long may block: who waits behind it gets another thread."""
Job = tuple[Call, m.PushTask, Callable[..., Any]]
Later = Callable[[float, Callable[[], None]], None]
"""Calls a function, locked, after so many seconds."""


class ThreadGroup:
    """At most `limit` calls at a time, each on a thread of its own; `run` runs one and answers it.

    Not by ThreadPoolExecutor, whose futures, callbacks and locks cost as much as the rest of a small call.
    """

    def __init__(
        self,
        name: str,
        limit: int,
        run: Callable[[Job, bool], None],
        refuse: Callable[[Call], None],
        later: Later,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._name = f"ray-{name or 'default'}"
        self.limit = limit
        self._run = run
        self._refuse = refuse
        self._later = later
        self._clock = clock
        self._jobs: deque[Job] = deque()
        """Taking one out, here or in a thread, is what decides who says what becomes of it."""
        self._running: set[Call] = set()
        self._threads: list[threading.Thread] = []
        self._parked: list[LockType] = []
        """Of each thread that has nothing to do; releasing it wakes the thread."""
        self._began_s = 0.0
        """When a thread last began a call, or was woken for one; 0: that is over, or it has looked for another since.
        So whoever adds a call and then finds a time here knows that this thread will yet look for calls."""
        self._is_watched = False
        self._is_over = False

    def __repr__(self) -> str:
        return f"<ThreadGroup {self._name} waiting={len(self._jobs)} running={len(self._running)} of {self.limit}>"

    def submit(self, job: Job) -> None:
        """Locked."""
        self._jobs.append(job)
        if self._is_stuck():
            self._wake()
        elif not self._is_watched:
            self._watch()

    def waiting(self) -> list[Call]:
        """In order of their coming."""
        return [job[0] for job in self._jobs.copy()]

    def running(self) -> list[Call]:
        return list(self._running.copy())

    def cancel(self, task_id: bytes) -> bool:
        """Locked."""
        for job in self._jobs.copy():
            if job[0].task_id == task_id:
                job[0].is_canceled = True
                try:
                    self._jobs.remove(job)
                except ValueError:  # a thread has it meanwhile
                    return True
                self._refuse(job[0])
                return True
        for call in self.running():
            if call.task_id == task_id:
                call.is_canceled = True
                return True
        return False

    def finish(self) -> None:
        """Drop what waits, and return when what runs has ended."""
        self._is_over = True
        self._jobs.clear()
        while self._wake(starts=False):
            pass
        for thread in self._threads:
            thread.join()

    # ---------------------------------------------------------- whom to wake

    def _is_stuck(self) -> bool:
        """Whether nobody may be about to look for the next call."""
        return self._clock() - self._began_s > PATIENCE_S

    def _watch(self) -> None:
        self._is_watched = True
        self._later(PATIENCE_S, self._look)

    def _look(self) -> None:
        """Calls waited a millisecond ago: if those that run have not ended since, each that waits gets a thread."""
        self._is_watched = False
        if not self._jobs:
            return
        if not self._is_stuck():
            self._watch()
            return
        for _ in range(len(self._jobs)):
            if not self._wake():
                return

    def _wake(self, starts: bool = True) -> bool:
        """Have one more thread look for calls. False: all do that sooner or later, since they are at work."""
        try:
            gate = self._parked.pop()
        except IndexError:
            if not starts or len(self._threads) >= self.limit:
                return False
            self._began_s = self._clock()
            name = f"{self._name}_{len(self._threads)}"
            self._threads.append(threading.Thread(target=self._serve, name=name, daemon=True))
            self._threads[-1].start()
        else:
            self._began_s = self._clock()
            gate.release()
        return True

    # ---------------------------------------------------------- the threads

    def _serve(self) -> None:
        gate = allocate_lock()
        gate.acquire()
        while True:
            self._began_s = 0.0  # before it looks, see there
            try:
                job = self._jobs.popleft()
            except IndexError:
                if self._is_over:
                    return
                self._park(gate)
                continue
            call = job[0]
            self._running.add(call)
            self._began_s = call.start_s = self._clock()  # not when it came
            self._run(job, bool(self._jobs))
            self._running.remove(call)
            del job, call  # they hold the call's arguments, which would stay until the next call

    def _park(self, gate: LockType) -> None:
        self._parked.append(gate)
        if self._jobs or self._is_over:  # since it looked; who added it found nobody to wake
            try:
                self._parked.remove(gate)
            except ValueError:
                pass  # somebody wakes this thread already
            else:
                return
        gate.acquire()
