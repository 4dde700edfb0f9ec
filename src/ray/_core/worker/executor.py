"""What a worker does with the calls that are pushed to it: in which order, and on which thread.

Floor: worker. The main thread runs user code and, between calls, the reactor; the follower receives meanwhile. Normal
tasks run one after another, and so do the methods of a plain actor; an actor with threads, groups or coroutines takes
its calls through `ActorRuntime`.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from ray._core.common import log_markers
from ray._core.common import messages as m
from ray._core.store import serialization
from ray._core.wire.reactor import Connection, Waiter
from ray._core.worker.actor_runtime import ActorRuntime
from ray._core.worker.invocation import ActorExit, Call, Invoker, current, raiser
from ray._core.worker.output import WorkerOutput
from ray._core.worker.process_title import IDLE, ProcessTitle

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker

logger = logging.getLogger(__name__)
SLOW_S = 0.01
"""A task that runs longer hands back what waits behind it."""


class Executor:
    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self._output = WorkerOutput()
        self._title = ProcessTitle()
        self._idle_title = IDLE
        self.invoker = Invoker(core, self._output)
        self.actor: ActorRuntime | None = None
        self._templates: dict[tuple[Connection, int], m.TaskTemplate] = {}
        self._functions: dict[str, Callable[..., Any]] = {}
        self._queue: deque[tuple[Connection, m.PushTask | m.CreateActor]] = deque()
        self._exit: SystemExit | None = None
        self._waiter = Waiter(core.reactor)
        self._running: m.PushTask | None = None
        core.reactor.on_takeover = self._watch

    def received(self, connection: Connection, message: Any) -> None:
        """Locked."""
        if isinstance(message, m.TaskTemplate):
            self._templates[connection, message.template_id] = message
            return
        if isinstance(message, m.GeneratorConsumed):
            self.invoker.producers.consumed(message)
        elif isinstance(message, m.ExitWorker):
            self.end(ActorExit(message.reason))
        elif self.actor is not None and self.actor.is_concurrent:
            self.actor.dispatch(self._call(connection, message), message)
        else:
            self._queue.append((connection, message))
            self._waiter.finish()

    def is_running_here(self) -> bool:
        """Whether this thread runs a normal task: only those lend their CPU while they wait."""
        call = current.get()
        return call is not None and not call.template.method

    def run(self) -> NoReturn:
        """Serve until the raylet ends, or user code does by `sys.exit`."""
        core = self._core
        while True:
            with core.lock:
                if self._exit is not None:
                    self._leave(self._exit)
                if not self._queue:
                    self._waiter = Waiter(core.reactor)
                    core.drain()
                    core.reactor.flush()
                    job = None
                else:
                    job = self._queue.popleft()
            if job is None:
                self._title.show(self._idle_title)
                core.reactor.wait(self._waiter)
                continue
            try:
                self._serve(*job)
            except SystemExit as error:
                self._leave(error)

    def _serve(self, connection: Connection, message: m.PushTask | m.CreateActor) -> None:
        if isinstance(message, m.PushTask):
            self._execute(connection, message)
            return
        self._idle_title = message.spec.class_name
        self._title.show(self._idle_title)
        self.actor = ActorRuntime(self._core, self.invoker, self.end)
        self.actor.create(connection, message)
        if self.actor.is_async:
            self.actor.run_loop()  # until `end`

    # ---------------------------------------------------------- handing back

    def hand_back(self) -> None:
        """Return what is not started to its owners: this worker waits or is slow. Locked."""
        owners: dict[Connection, list[bytes]] = {}
        for connection, message in self._queue:
            assert isinstance(message, m.PushTask)
            owners.setdefault(connection, []).append(message.task_id)
        self._queue.clear()
        for connection, task_ids in owners.items():
            connection.send(m.TasksReturned(task_ids, blocked=True))

    def _watch(self) -> None:
        """The follower leads, so a task has run for a millisecond; look again when it would count as slow. Locked."""
        running = self._running
        self._title.show_short()
        if running is None or self.actor is not None:
            return

        def check() -> None:
            if running is self._running:
                self.hand_back()

        self._core.reactor.call_later(SLOW_S, check)

    # ---------------------------------------------------------- running

    def _call(self, connection: Connection, push: m.PushTask) -> Call:
        return Call(self._templates[connection, push.template_id], push.task_id, push.deps, connection)

    def _execute(self, connection: Connection, push: m.PushTask) -> None:
        call = self._call(connection, push)
        self._core.namespace = call.template.namespace or self._core.namespace
        self._running = push
        self._title.show(call.template.name)
        try:
            if self.actor is not None:
                self.invoker.run(call, push, self.actor.method(call.template))
            else:
                if call.template.name != self._output.name:
                    self._output.announce(call.template.job_id, log_markers.TASK, call.template.name)
                self.invoker.run(call, push, self._function(call.template))
        finally:
            self._running = None

    def _function(self, template: m.TaskTemplate) -> Callable[..., Any]:
        """The function of a normal task. One that cannot be unpickled raises when it is called, as the task's error."""
        function = self._functions.get(template.function_key)
        if function is None:
            self._core.use_code_paths(template.code_paths)
            self._core.use_logging(template.logging)
            try:
                function = serialization.load_code(template.function_blob)
            except Exception as error:
                return raiser(error)
            self._functions[template.function_key] = function
        return function

    # ---------------------------------------------------------- the end

    def end(self, error: SystemExit) -> None:
        """Have the main thread end the process as `error` asks, once it is free. Locked."""
        self._exit = error
        self._waiter.finish()
        if self.actor is not None:
            self.actor.stop_loop()

    def _leave(self, error: SystemExit) -> NoReturn:
        """End the process: by intent (`exit_actor`, out of scope), or by the user's `sys.exit`. Main thread."""
        core, code = self._core, error.code
        if isinstance(error, ActorExit):
            kind, cause, status = "INTENDED_USER_EXIT", str(code), 0
        else:
            what = "actor" if self.actor is not None else "task"
            kind, cause = "USER_ERROR", f"The {what} called sys.exit({code!r})."
            status = code if isinstance(code, int) else 1
        with core.lock:
            core.raylet.send(m.WorkerExiting(kind, cause))
            core.reactor.flush()
        if self.actor is not None:
            self.actor.finish_running()
            atexit._run_exitfuncs()
        self._output.flush()
        with core.lock:
            core.reactor.flush()
        os._exit(status)
