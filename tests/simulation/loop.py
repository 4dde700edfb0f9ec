"""The event loop of a whole simulated cluster: virtual time, and one order of events for each seed.

Every simulated process has a queue of ready callbacks that run in order, as in an event loop of its own; which process
goes next, and how long each callback takes, is drawn from the seed. A process can be killed between any two callbacks,
which is at any `await` of it, or stopped for a while. Clocks of processes may run apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import hashlib
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import TYPE_CHECKING, Any

from ray._core.worker import object_ref

if TYPE_CHECKING:
    from simulation.network import Host, Network

CALLBACK_S = 40e-6
"""A callback takes up to this long on a process of ordinary speed."""
WALL_START_S = 1_700_000_000.0


class Violation(AssertionError):
    """An invariant does not hold."""


class Process:
    """What one simulated process has on the loop. `name` is unique and tells in the history who acts."""

    def __init__(self, loop: SimLoop, name: str, host: Host) -> None:
        self.name, self.host = name, host
        self.pid = loop.next_pid()
        self.is_alive = True
        self.ready: deque[asyncio.Handle] = deque()
        self.is_scheduled = False
        self.slowness = 1.0
        self.stopped_until_s = 0.0
        self.clock_rate, self.clock_offset_s = 1.0, 0.0
        self.endpoints: dict[Any, None] = {}
        """Its transports and listeners, which the kernel closes when it ends."""
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.on_exit: list[Callable[[int], None]] = []
        """Called with the status as waitpid tells it."""
        self.core: Any = None
        """Of a driver or a worker: what `ray._core.worker.object_ref` knows as the process's core worker."""

    def __repr__(self) -> str:
        return f"<Process {self.name} pid={self.pid}{'' if self.is_alive else ' dead'}>"


class SimLoop(asyncio.AbstractEventLoop):
    """`network` is set by whoever builds the cluster; sockets and servers are its."""

    network: Network

    def __init__(self, seed: int, story: list[str] | None = None) -> None:
        self.seed = seed
        self.now_s = 0.0
        self.rng = self.random_for("loop")
        self.current: Process | None = None
        self.processes: dict[int, Process] = {}
        self.problems: list[str] = []
        """What went wrong at a place where nothing can be raised."""
        self.after_each: Callable[[Process], None] | None = None
        self.steps = 0
        self.story = story
        self.is_over = False
        self._hash = hashlib.sha256()
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = 0
        self._pid = 1000
        self._graveyard: list[asyncio.Task[Any]] = []

    def random_for(self, purpose: str) -> Random:
        """A source of its own for each purpose, so that a change of one plan leaves the others alone."""
        return Random(f"{self.seed}/{purpose}")

    def next_pid(self) -> int:
        self._pid += 1
        return self._pid

    # ---------------------------------------------------------- history

    def tell(self, text: str) -> None:
        """One line of the history; the same seed has the same lines."""
        line = f"{self.now_s:12.6f} {text}"
        self._hash.update(line.encode())
        if self.story is not None:
            self.story.append(line)

    def mark(self, text: str) -> None:
        """As `tell`, for what only the hash must see."""
        self._hash.update(f"{self.now_s:.9f} {text}".encode())

    @property
    def history_hash(self) -> str:
        return self._hash.hexdigest()

    # ---------------------------------------------------------- running

    def at(self, when_s: float, callback: Callable[..., None], *args: Any) -> None:
        """An event of the world, outside of all processes."""
        self._sequence += 1
        heapq.heappush(self._events, (when_s, self._sequence, callback, args))

    def after(self, delay_s: float, callback: Callable[..., None], *args: Any) -> None:
        self.at(self.now_s + delay_s, callback, *args)

    def run(self, until_s: float, is_done: Callable[[], bool] = lambda: False) -> bool:
        """Run events up to a virtual time, or until `is_done`, looked at now and then. True: it is done."""
        asyncio._set_running_loop(self)
        try:
            while self._events and self._events[0][0] <= until_s:
                when_s, _, callback, args = heapq.heappop(self._events)
                self.now_s = when_s
                callback(*args)
                self.steps += 1
                if self.problems:
                    raise Violation("\n".join(self.problems))
                if not self.steps & 63 and is_done():
                    return True
            self.now_s = max(self.now_s, until_s) if not is_done() else self.now_s
            return is_done()
        finally:
            asyncio._set_running_loop(None)

    def post(self, process: Process, callback: Callable[..., object], *args: Any) -> None:
        """Something happens to a process: a callback behind those that are ready there."""
        if process.is_alive:
            process.ready.append(asyncio.Handle(callback, args, self))
            self._wake(process)

    def _wake(self, process: Process) -> None:
        if not process.is_scheduled:
            process.is_scheduled = True
            at_s = max(self.now_s + self.rng.random() * CALLBACK_S * process.slowness, process.stopped_until_s)
            self.at(at_s, self._turn, process)

    def _turn(self, process: Process) -> None:
        process.is_scheduled = False
        if process.stopped_until_s > self.now_s:
            self._wake(process)
            return
        if not process.is_alive or not process.ready:
            return
        handle = process.ready.popleft()
        if not handle._cancelled:
            self.run_in(process, handle._run)
            if self.after_each is not None:
                self.after_each(process)
        if process.ready:
            self._wake(process)

    def run_in(self, process: Process, action: Callable[[], Any]) -> Any:
        """Run something now, as the process."""
        before = self.current
        self.current, object_ref._core = process, process.core
        try:
            return action()
        finally:
            self.current = before
            object_ref._core = None if before is None else before.core

    # ---------------------------------------------------------- processes

    def start_process(self, name: str, host: Host, main: Callable[[], Coroutine[Any, Any, None]]) -> Process:
        """`main` is called in the process; that it returns ends nothing."""
        process = Process(self, name, host)
        self.processes[process.pid] = process
        self.tell(f"{name} starts as {process.pid}")
        self.post(process, lambda: self.create_task(main()))
        return process

    def kill(self, process: Process, status: int = 9, silently: bool = False) -> None:
        """The process ends here and now; its peers hear of it, unless the whole machine is gone (`silently`)."""
        if not process.is_alive:
            return
        process.is_alive = False
        del self.processes[process.pid]
        self.tell(f"{process.name} ends with status {status}")
        self._graveyard += process.tasks
        process.tasks.clear()
        process.ready.clear()
        for endpoint in list(process.endpoints):
            endpoint.process_ended(silently)
        for callback in process.on_exit:
            callback(status)

    def bury(self) -> None:
        """The simulation is over: end what still waits, without letting it do anything."""
        self.is_over = True
        for process in list(self.processes.values()):
            self._graveyard += process.tasks
        asyncio._set_running_loop(self)
        try:
            for task in self._graveyard:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coroutine = task.get_coro()
                with contextlib.suppress(Exception):  # whatever a `finally` wants from a cluster that is gone
                    coroutine.close()  # type: ignore[union-attr]
        finally:
            asyncio._set_running_loop(None)
        self._graveyard.clear()
        self._events.clear()

    # ---------------------------------------------------------- asyncio's interface

    def time(self) -> float:
        process = self.current
        return self.now_s if process is None else self.now_s * process.clock_rate + process.clock_offset_s

    def wall_ms(self, process: Process) -> int:
        return int((WALL_START_S + self.now_s * process.clock_rate + process.clock_offset_s) * 1000)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self.is_over

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        process = self.current
        if process is not None and process.is_alive and not self.is_over:
            process.ready.append(handle)
            self._wake(process)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        process = self.current
        if process is not None and not self.is_over:
            at_s = (when - process.clock_offset_s) / process.clock_rate
            self.at(max(at_s, self.now_s), self._timer, process, handle)
        return handle

    def _timer(self, process: Process, handle: asyncio.TimerHandle) -> None:
        if process.is_alive and not handle._cancelled:
            process.ready.append(handle)
            self._wake(process)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It stays in the heap and is passed over."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:  # type: ignore[override]
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        process = self.current
        if process is not None:
            process.tasks[task] = None
            task.add_done_callback(lambda done: process.tasks.pop(done, None))
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not self.is_over:
            who = self.current.name if self.current else "nobody"
            self.problems.append(f"{who}: {context.get('message')}: {error!r}")
            if error is not None:
                import traceback

                self.problems.append("".join(traceback.format_exception(error)))

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """On a thread that takes its time: what `func` does is done at some moment, and told at a later one."""
        future, process = self.create_future(), self.current
        assert process is not None
        disk_s = process.host.disk_s

        def act() -> None:
            if not process.is_alive:
                return
            try:
                result, error = func(*args), None
            except Exception as problem:
                result, error = None, problem
            self.after(self.rng.random() * disk_s, self.post, process, settle, result, error)

        def settle(result: Any, error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self.after(self.rng.random() * disk_s, act)
        return future

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:  # type: ignore[override]
        return await self.network.connect(factory, (host, port))

    async def create_unix_connection(self, factory: Any, path: Any = None, **_: Any) -> Any:  # type: ignore[override]
        return await self.network.connect(factory, path)

    async def create_server(
        self, factory: Any, host: Any = None, port: Any = None, *, sock: Any = None, **_: Any
    ) -> Any:  # type: ignore[override]
        return self.network.listen(factory, port if sock is None else sock.getsockname()[1])

    async def create_unix_server(self, factory: Any, path: Any = None, **_: Any) -> Any:  # type: ignore[override]
        return self.network.listen_unix(factory, path)
