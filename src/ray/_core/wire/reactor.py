"""The core worker's own event loop: whoever waits, works.

Floor: wire, shell. The core worker lives inside the user's program, so it must not own the thread that computes. A
thread that blocks (in `get`, `wait`, or for its next task) leads: it polls the sockets and handles what comes, until
what it waits for is there. So a synchronous call costs no thread switch on either side (measured on 2 cores:
13,000-24,000 calls/s, against 9,000-14,000 through a reader thread). When user code computes and nobody leads, a
follower thread takes over after a millisecond, so progress never stops.

Rules:
* One leader at a time. Only it reads sockets and calls handlers, and it holds `lock` while it calls them.
* `lock` guards all state of the core worker. Every method here that says "locked" wants it held.
* Anybody with the lock may send; frames gather in `Connection.out` and leave by `flush`.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import os
import select
import threading
import time
from _thread import LockType, allocate_lock
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ray._core.wire.alert_poll import AlertPoll
from ray._core.wire.connection import Connection
from ray._core.wire.sockets import Sockets

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger(__name__)

FOLLOWER_DELAY_S = 0.001
"""How long nobody leads before the follower does: short enough for progress, long enough that a loop of quick calls
never meets it."""
FOLLOWER_DELAY_MAX_S = 0.004
"""In a long run of quick calls the follower looks up only so often: each look takes the interpreter from the caller."""
HOSTED_DELAY_S = 0.005
"""How long an asyncio loop that hosts the reactor may leave messages unread before the follower handles them."""
FLUSH_FRAMES = 32
"""A thread that computes sends what it has buffered when it is so many frames. The follower would do it, too, but
gets the interpreter late: with this the peer works at the same time (19 µs a call became 15)."""


class Waiter:
    """What a thread waits for. `finish` (locked) ends the wait."""

    __slots__ = ("_gate", "done", "fails_fast", "reactor", "remaining")

    def __init__(self, reactor: Reactor, remaining: int = 1, fails_fast: bool = False) -> None:
        self.done = False
        self.fails_fast = fails_fast
        """Whoever resolves one of the things with an error finishes the wait."""
        self.remaining = remaining
        """Counted down by `arrived`; 0 finishes."""
        self.reactor = reactor
        self._gate: LockType | None = None  # held while the thread is parked behind another leader

    def arrived(self, count: int = 1) -> None:
        """So many of the things waited for are there. Locked."""
        self.remaining -= count
        if self.remaining <= 0:
            self.finish()

    def finish(self) -> None:
        """Locked; repeating it does no harm."""
        if not self.done:
            self.done = True
            self.reactor._finished(self)


_FOLLOWER = object()
_OUTSIDE = object()


class Reactor(Sockets):
    """Timers, and the leadership among the threads that handle what the sockets bring."""

    def __init__(self, opens: bool = True) -> None:
        """`opens`: False for a process that is yet to be forked, which then calls `open`."""
        super().__init__()
        self.lock = threading.RLock()
        self.ticks = 0
        self.on_takeover: Callable[[], None] | None = None
        """Called (locked) whenever the follower begins to lead: user code has computed for a millisecond or more."""
        self._alert_poll: AlertPoll
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_ids = itertools.count()
        self._mutex = allocate_lock()  # guards the leadership: _leader, _parked, _yielding
        self._leader: object = None
        self._leading_thread = 0
        self._parked: list[Waiter] = []
        self._yielding = False
        self._is_woken = False  # by `soon_flushed`, and has not looked yet: once is enough
        self._leader_is_done = False  # finished by its own flush: it must not sleep in poll first
        self._wake_r = self._wake_w = -1
        self._closing = False
        self._follower: threading.Thread | None = None
        self._host: asyncio.AbstractEventLoop | None = None
        self._host_thread = 0
        self._host_called = False  # the loop will poll in its next turn
        self._follower_gate = threading.Event()
        self._stopped = threading.Event()
        if opens:
            self.open()

    def open(self) -> None:
        """Make the descriptors, which are this process's own."""
        self._poll = select.epoll()
        self._alert_poll = AlertPoll(self._poll.poll)
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll.register(self._wake_r, select.EPOLLIN)

    def __repr__(self) -> str:
        return f"<Reactor connections={len(self._by_fd)} leader={self._leader!r} parked={len(self._parked)}>"

    @property
    def fd(self) -> int:
        """Readable whenever there is something to do."""
        return self._poll.fileno()

    @property
    def is_followed(self) -> bool:
        """Whether the follower leads."""
        return self._leader is _FOLLOWER

    def start(self) -> None:
        self._follower = threading.Thread(target=self._follow, name="ray-reactor", daemon=True)
        self._follower.start()
        self._follower_gate.set()

    def abandon(self) -> None:
        """In a forked child: close this process's copies of the descriptors; the parent's connections go on."""
        self._closing = True
        for entry in self._by_fd.values():
            if isinstance(entry, Connection):
                entry.sock.close()
        self._poll.close()
        self._by_fd.clear()
        self.dirty.clear()

    def close(self) -> None:
        """Close every connection (handlers are told) and end the follower. Not for a handler to call."""
        with self.lock:
            if self._closing:
                return
            self._closing = True
            for entry in list(self._by_fd.values()):
                if isinstance(entry, Connection):
                    entry.close("this process is shutting down")
        self._follower_gate.set()
        self._stopped.set()
        with self._mutex:
            self._yielding = True
        self._wake()
        if self._follower is not None and self._follower is not threading.current_thread():
            self._follower.join(2.0)
        self._poll.close()
        os.close(self._wake_r)
        os.close(self._wake_w)

    # ---------------------------------------------------------- flushing and timers (locked)

    def soon_flushed(self) -> None:
        """Something is buffered and nobody may be about to wait: the follower will send it within a millisecond,
        or whoever leads already, and sleeps in poll. Much is sent at once, and who is lost then is told at once: call
        it when all else is done. Locked."""
        if self.unsent >= FLUSH_FRAMES:
            self.flush()
        else:
            self._rouse()

    def _rouse(self) -> None:
        """Have somebody look soon at what there is to send and to do. Locked."""
        if self._host is not None:
            self._call_host()
        elif self._leader is not None and self._leading_thread != threading.get_ident():
            if not self._is_woken:
                self._is_woken = True
                self._wake()
        elif not self._follower_gate.is_set():
            self._follower_gate.set()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Call `callback` (locked, by the leader) after `delay_s`. There is no way to take it back: check state."""
        at_s = time.monotonic() + delay_s
        is_first = not self._timers or at_s < self._timers[0][0]
        heapq.heappush(self._timers, (at_s, next(self._timer_ids), callback))
        if self._host is not None:
            self._host.call_soon_threadsafe(self._host.call_later, delay_s, self._poll_once)
        elif is_first and self._leader is not None and self._leading_thread != threading.get_ident():
            self._wake()
        else:
            self._rouse()

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Have the leader call `callback` (locked), from whatever thread this is."""
        with self.lock:
            self.call_later(0.0, callback)

    # ---------------------------------------------------------- waiting (not locked)

    def wait(self, waiter: Waiter, timeout_s: float | None = None) -> bool:
        """Block until `waiter` is done, leading if nobody else does. False: the time is over."""
        deadline_at_s = None if timeout_s is None else time.monotonic() + timeout_s
        has_parked = False
        try:
            while not waiter.done:
                remaining_s = None if deadline_at_s is None else deadline_at_s - time.monotonic()
                if remaining_s is not None and remaining_s <= 0:
                    return False
                with self._mutex:
                    if waiter.done:  # finished since the check above: nobody would wake this thread
                        return True
                    if has_parked:
                        self._unpark(waiter)
                    if self._leader is None:
                        self._leader = waiter
                        self._leader_is_done = False
                        leads = True
                    else:
                        leads, has_parked = False, True
                        gate = waiter._gate = allocate_lock()
                        gate.acquire()
                        self._parked.append(waiter)
                        wake = self._leader is _FOLLOWER and not self._yielding
                        if wake:
                            self._yielding = True
                if leads:
                    self._lead(waiter, deadline_at_s)
                else:
                    if wake:
                        self._wake()
                    self._park(gate, remaining_s)
        finally:
            if has_parked:
                with self._mutex:
                    self._unpark(waiter)
                    if self._leader is None:  # promoted, but done, out of time or interrupted: another must lead
                        self._promote()
        return True

    def _lead(self, waiter: Waiter, deadline_at_s: float | None) -> None:
        self._leading_thread = threading.get_ident()
        try:
            while not waiter.done:
                if deadline_at_s is None:
                    self._step(None)
                else:
                    remaining_s = deadline_at_s - time.monotonic()
                    if remaining_s <= 0:
                        break
                    self._step(remaining_s)
        finally:
            self._abdicate()

    def _abdicate(self) -> None:
        self.ticks += 1
        with self._mutex:
            self._leader = None
            self._leading_thread = 0
            self._yielding = False
            self._promote()

    def _promote(self) -> None:
        """Nobody leads now: have a thread do so that still waits, or the follower. With `_mutex`."""
        while self._parked:
            heir = self._parked.pop()
            if not heir.done:
                gate, heir._gate = heir._gate, None
                if gate is not None:
                    gate.release()
                return
        if not self._follower_gate.is_set():
            self._follower_gate.set()

    def _park(self, gate: LockType, remaining_s: float | None) -> None:
        """Sleep until finished, promoted, or out of time; where an interrupt may come (see worker.ctrl_c)."""
        gate.acquire(timeout=-1 if remaining_s is None else remaining_s)

    def _unpark(self, waiter: Waiter) -> None:
        """Its thread has woken. With `_mutex`."""
        if waiter in self._parked:  # not promoted: finished, out of time, or interrupted
            self._parked.remove(waiter)
        waiter._gate = None

    def _finished(self, waiter: Waiter) -> None:
        """`waiter` is done: make its thread see it, wherever it sleeps. Locked."""
        if self._leader is waiter:
            if self._leading_thread != threading.get_ident():
                self._wake()
            self._leader_is_done = True
            return
        with self._mutex:
            gate, waiter._gate = waiter._gate, None
            if gate is not None:
                gate.release()
            elif self._leader is waiter:
                self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):  # full: it wakes anyway; closed: nobody sleeps
            os.write(self._wake_w, b"w")

    # ---------------------------------------------------------- leading

    def host(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on `loop`, which runs in this thread, leads whenever there is something to do.

        The follower steps in only while the loop is blocked (by a method that computes), see `_follow_hosted`.
        """
        with self.lock:
            self._host, self._host_thread = loop, threading.get_ident()
            loop.add_reader(self._poll.fileno(), self._poll_once)
            self._follower_gate.set()
            self._call_host()

    def is_hosted_here(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether `loop` hosts the reactor, and this is its thread."""
        return self._host is loop and self._host_thread == threading.get_ident()

    def leads_in_loop(self) -> bool:
        """Whether this is the thread of an asyncio loop that hosts the reactor: to wait here blocks that loop."""
        return self._host is not None and self._host_thread == threading.get_ident()

    def _call_host(self) -> None:
        """Have the loop poll in its next turn, so that what is buffered leaves. Locked, or in the loop's thread."""
        if threading.get_ident() != self._host_thread:
            self._wake()
        elif not self._host_called:
            assert self._host is not None
            self._host_called = True
            self._host.call_soon(self._poll_once)

    def _poll_once(self) -> None:
        """Handle what is ready now without blocking, if nobody leads. In the hosting loop."""
        self._host_called = False
        with self._mutex:
            if self._leader is not None:
                if self._leader is _FOLLOWER:  # the loop is back from whatever blocked it
                    self._yielding = True
                    self._wake()
                return
            self._leader = _OUTSIDE
            self._leading_thread = threading.get_ident()
        try:
            self._step(0)
        finally:
            self._abdicate()

    def _step(self, timeout_s: float | None) -> None:
        """Flush, wait for something to happen (at most `timeout_s`), and handle it."""
        if self.dirty:
            with self.lock:
                self.flush()
        if self._timers:
            until_s = self._timers[0][0] - time.monotonic()
            if timeout_s is None or until_s < timeout_s:
                timeout_s = until_s if until_s > 0 else 0
        if self._leader_is_done:
            timeout_s, self._leader_is_done = 0, False
        # The follower leads while user code computes, and must not take the interpreter from it.
        ready = (self._poll.poll if self._leader is _FOLLOWER else self._alert_poll)(timeout_s)
        self.ticks += 1
        with self.lock:
            self._is_woken = False
            # Looked up before anything is handled: a handler may close one of them, and open another of that number.
            for fd, events, entry in [(fd, events, self._by_fd.get(fd)) for fd, events in ready]:
                if entry is None:
                    if fd == self._wake_r:
                        with contextlib.suppress(BlockingIOError):
                            os.read(fd, 4096)
                elif isinstance(entry, Connection):
                    try:
                        entry.handle(events)
                    except Exception:
                        logger.exception("Connection %r closed: a message from it could not be handled.", entry)
                        self.lost(entry, "a message could not be handled; see this process's log")
                else:
                    entry()
            if self._timers:
                self._run_timers()
            if self.dirty:
                self.flush()

    def _run_timers(self) -> None:
        now_s = time.monotonic()
        while self._timers and self._timers[0][0] <= now_s:
            _, _, callback = heapq.heappop(self._timers)
            try:
                callback()
            except Exception:
                logger.exception("A timer of the reactor failed.")

    # ---------------------------------------------------------- the follower

    def _follow(self) -> None:
        while not self._closing:
            self._follower_gate.wait()
            self._follower_gate.clear()
            if self._host is not None:
                self._follow_hosted()
                return
            ticks, delay_s = -1, FOLLOWER_DELAY_S
            while ticks != self.ticks and not self._closing:
                ticks = self.ticks
                time.sleep(delay_s)
                delay_s = min(delay_s * 2, FOLLOWER_DELAY_MAX_S)
            with self._mutex:
                if self._leader is not None or self._closing:
                    continue
                self._leader = _FOLLOWER
                self._leading_thread = threading.get_ident()
            self._lead_as_follower()

    def _follow_hosted(self) -> None:
        """Lead when there is something to do and the hosting loop has not looked for a while."""
        readable = select.poll()
        readable.register(self._poll.fileno(), select.POLLIN)
        while not self._closing:
            readable.poll()
            ticks = self.ticks
            if self._stopped.wait(HOSTED_DELAY_S) or ticks != self.ticks:
                continue
            with self._mutex:
                if self._leader is not None or self._closing:
                    continue
                self._leader = _FOLLOWER
                self._leading_thread = threading.get_ident()
            try:
                self._step(0)
            finally:
                self._abdicate()

    def _lead_as_follower(self) -> None:
        try:
            if self.on_takeover is not None:
                with self.lock:
                    self.on_takeover()
            while not self._yielding and not self._closing:
                self._step(None)
        except Exception:
            if not self._closing:
                logger.exception("The reactor's follower failed.")
        finally:
            self._abdicate()


@contextlib.contextmanager
def flushing(reactor: Reactor) -> Iterator[None]:
    """Hold the lock, and send what was buffered meanwhile at the end."""
    with reactor.lock:
        yield
        reactor.flush()
