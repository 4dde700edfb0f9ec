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
from ray._core.common.naming import short_name
from ray._core.store import serialization
from ray._core.wire.connection import Connection
from ray._core.wire.reactor import FLUSH_FRAMES, Waiter
from ray._core.worker.actor_runtime import ActorRuntime
from ray._core.worker.interrupts import Interrupts
from ray._core.worker.invocation import ActorExit, Call, Invoker, current, raiser
from ray._core.worker.output import WorkerOutput
from ray._core.worker.process_title import IDLE, ProcessTitle

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker

logger = logging.getLogger(__name__)
SLOW_S = 0.01
"""A task that runs longer hands back what waits behind it."""
RETIRE_S = 0.02
"""How often a worker that is to end looks whether it may."""
_Job = tuple[Connection, m.PushTask | m.ConstructActor, m.TaskTemplate | None]


class Executor:
    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self._output = WorkerOutput()
        self._title = ProcessTitle()
        self._idle_title = IDLE
        self.invoker = Invoker(core, self._output)
        self.actor: ActorRuntime | None = None
        self._templates: dict[Connection, dict[int, m.TaskTemplate]] = {}
        self._functions: dict[str, Callable[..., Any]] = {}
        self._last_template: m.TaskTemplate | None = None
        self._queue: deque[_Job] = deque()
        self._exit: SystemExit | None = None
        self._runs: dict[str, int] = {}
        self._retires = False
        self._holding_up: Call | None = None
        """A task that waits or is slow: until it is answered, nothing may come to lie behind it."""
        self._waiter = Waiter(core.reactor)
        self.interrupts = Interrupts(core)
        self._is_watching = False
        core.reactor.on_takeover = self._watch

    def received(self, connection: Connection, message: Any) -> None:
        """Locked."""
        if isinstance(message, m.TaskTemplate):
            self._templates.setdefault(connection, {})[message.template_id] = message
            return
        if isinstance(message, m.GeneratorConsumed):
            self.invoker.producers.consumed(message)
        elif isinstance(message, m.ExitWorker):
            self.end(ActorExit(message.reason))
        elif isinstance(message, m.RetireWorker):
            self._retires = self._retires or (self._is_unneeded() and not self._queue)
            if self._retires:
                connection.reply(message, m.Done())
            else:
                connection.reply(message, _needed())
        elif isinstance(message, m.ConstructActor) and self._is_no_place():
            connection.reply(message, _needed())
        elif self._retires or (isinstance(message, m.PushTask) and self._is_held_up()):
            connection.send(m.TasksReturned([message.task_id], blocked=True))
        elif self.actor is not None and self.actor.is_concurrent:
            self.actor.dispatch(Call(self._template(connection, message), message.task_id, connection), message)
        else:
            template = self._template(connection, message) if isinstance(message, m.PushTask) else None
            self._queue.append((connection, message, template))
            self._waiter.finish()

    @property
    def idle_name(self) -> str:
        """What the process is called while it runs nothing."""
        return self._idle_title

    def queued(self, task_id: bytes) -> tuple[str, int, int, list[Call]] | None:
        """Of a call that waits here: its name, how many wait before it, how many may run at a time, and which do.

        None: it does not wait here. Locked.
        """
        if self.actor is not None and self.actor.is_concurrent:
            return self.actor.queued(task_id)
        for number, (_, message, template) in enumerate(self._queue):
            if isinstance(message, m.PushTask) and message.task_id == task_id:
                assert template is not None
                return template.name, number, 1, list(self.invoker.running)
        return None

    def under_way(self) -> list[Call]:
        """What runs now, or is about to: the calls, and an actor's constructor. Locked."""
        calls, begun = list(self.invoker.running), self.interrupts.running
        if begun is not None and begun not in calls:  # its function is still being loaded
            calls.append(begun)
        if self.actor is not None and self.actor.constructing is not None:
            calls.append(self.actor.constructing)
        return calls

    def _template(self, connection: Connection, push: m.PushTask) -> m.TaskTemplate:
        return self._templates[connection][push.template_id]

    def connection_lost(self, connection: Connection) -> None:
        """An owner has gone: what it has pushed still runs in an actor, but no task begins that it may have given to
        another worker by now. Locked."""
        self._templates.pop(connection, None)
        if self.actor is None:
            self._queue = deque(job for job in self._queue if job[0] is not connection or job[2] is None)
        self.invoker.producers.connection_lost(connection)

    def is_running_here(self) -> bool:
        """Whether this thread runs a normal task: only those lend their CPU while they wait."""
        call = current.get()
        return call is not None and not call.template.method and self.interrupts.is_main_thread()

    def run(self) -> NoReturn:
        """Serve until the raylet ends, or user code does by `sys.exit`."""
        core = self._core
        self.interrupts.install()
        self._title.show(self._idle_title)
        self._title.show_short()
        while True:
            with core.lock:
                if self._exit is not None:
                    self._leave(self._exit)
                if self._retires and self._is_unneeded():
                    self._leave(ActorExit("max_calls is reached."))
                job = self._next_job()
                if job is None:
                    self._waiter = Waiter(core.reactor)
                    core.refs.drain()
                    core.reactor.flush()
            if job is None:
                self._title.show(self._idle_title)
                core.reactor.wait(self._waiter)
                continue
            try:
                self._serve(*job)
            except SystemExit as error:
                self._leave(error)

    def _next_job(self) -> _Job | None:
        """What is to run next. Before it begins, what is done is told: should it end this process, that must not be
        lost, nor run again. An answer that owners have to confirm first cannot be told yet: all goes back then, and
        comes again after it. Locked."""
        if not self._queue:
            return None
        template = self._queue[0][2]
        is_told_before = self._is_told_before(template)
        if is_told_before and self.invoker.withheld and self.actor is None:
            self.hand_back()
            return None
        if is_told_before:
            self._last_template = template
            self._core.reactor.flush()
        elif self._core.reactor.unsent >= FLUSH_FRAMES:
            self._core.reactor.flush()
        return self._queue.popleft()

    def _is_told_before(self, template: m.TaskTemplate | None) -> bool:
        """Whether all answers must have left before a task of this kind begins; of one function's calls only those are
        told one by one which must not run twice."""
        return template is not self._last_template or (template is not None and template.runs_once)

    def _serve(
        self, connection: Connection, message: m.PushTask | m.ConstructActor, template: m.TaskTemplate | None
    ) -> None:
        if isinstance(message, m.PushTask):
            assert template is not None
            self._execute(Call(template, message.task_id, connection), message)
            return
        self._idle_title = short_name(message.spec.class_name)
        self._title.show(self._idle_title)
        self.actor = ActorRuntime(self._core, self.invoker, self.end)
        self.actor.create(connection, message)
        if self.actor.is_async:
            self.actor.run_loop()  # until `end`

    # ---------------------------------------------------------- handing back

    def hand_back(self) -> None:
        """Return what is not started to its owners, and what they push before the running task is answered: it waits
        or is slow, and may even wait for what is pushed. Locked."""
        self._title.show_short()
        self._holding_up = self.interrupts.running
        owners: dict[Connection, list[bytes]] = {}
        for connection, message, _ in self._queue:
            assert isinstance(message, m.PushTask)
            owners.setdefault(connection, []).append(message.task_id)
        self._queue.clear()
        for connection, task_ids in owners.items():
            connection.send(m.TasksReturned(task_ids, blocked=True))

    def _is_held_up(self) -> bool:
        call = self._holding_up
        return call is not None and call is self.interrupts.running and not call.is_answered

    def _watch(self) -> None:
        """The follower leads, so a task has run for a millisecond; look again when it would count as slow. Locked."""
        self._title.show_short()
        if not self._is_watching and self.actor is None:
            self._look_again(self.interrupts.running)

    def _look_again(self, before: Call | None) -> None:
        """In a while, hand back if the same task still runs, or look at the next one. Locked."""
        self._is_watching = before is not None

        def check() -> None:
            running = self.interrupts.running
            if running is not before:
                self._look_again(running)
                return
            self._is_watching = False  # the next task starts anew: a thousand that wait must not wake for nothing
            if running is not None:
                self.hand_back()

        if before is not None:
            self._core.reactor.call_later(SLOW_S, check)

    # ---------------------------------------------------------- cancelling

    def cancel(self, request: m.CancelTask) -> None:
        """The owner of a task cancels it. One that has been answered stays as it is, and so does what it has submitted,
        which may be part of the answer. Locked."""
        if request.recursive and self._is_unanswered(request.task_id):
            self._core.cancellation.cancel_children(request.task_id, request.force)
        running = self.interrupts.running
        if running is not None and running.task_id == request.task_id:
            if running.is_answered:
                return
            running.is_canceled = True
            if self.actor is not None:
                self.invoker.producers.cancelled(request.task_id)
                return  # methods are not interrupted; they may ask
            if request.force:
                self._end_at_once(running)
            self.interrupts.interrupt(running)
            return
        for number, (connection, message, template) in enumerate(self._queue):
            if isinstance(message, m.PushTask) and message.task_id == request.task_id:
                assert template is not None
                del self._queue[number]
                self.invoker.refuse(Call(template, message.task_id, connection))
                return
        if self.actor is not None:
            self.actor.cancel(request.task_id)
            self.invoker.producers.cancelled(request.task_id)

    def _is_unanswered(self, task_id: bytes) -> bool:
        return any(call.task_id == task_id and not call.is_answered for call in list(self.invoker.running))

    def expire(self, connection: Connection, request: m.ExpireTask) -> None:
        """The owner's timeout for a call is over: tell how far it has come, then cancel it. Locked."""
        call = next((each for each in list(self.invoker.running) if each.task_id == request.task_id), None)
        answer = m.TaskExpired()
        if call is not None:
            answer.started_us = call.started_us
            answer.is_interrupted = self.actor is None or self.actor.is_coroutine(call.template)
        connection.reply(request, answer)
        self.cancel(m.CancelTask(request.task_id, force=False, recursive=True))

    def _end_at_once(self, running: Call) -> NoReturn:
        """Cancelled by force: the process ends under the task; what waits behind it goes back. Locked."""
        self.hand_back()
        cause = f"Its task {running.template.name} was cancelled by force."
        self._core.raylet.send(m.WorkerExiting("INTENDED_USER_EXIT", cause))
        self._core.reactor.flush()
        os._exit(1)

    # ---------------------------------------------------------- running

    def _execute(self, call: Call, push: m.PushTask) -> None:
        self._core.namespace = call.template.namespace or self._core.namespace
        self._title.show(call.template.name)
        self.interrupts.running = call
        if not self._is_watching and self._core.reactor.is_followed:  # so no takeover will tell of this task
            with self._core.lock:
                self._watch()
        try:
            if self.actor is not None:
                self.invoker.run(call, push, self.actor.method(call.template))
            else:
                if call.template.name != self._output.name:
                    self._output.announce(call.template.job_id, log_markers.TASK, call.template.name)
                self._count(call)
                self.invoker.run(call, push, self._function(call.template))
        finally:
            self.interrupts.ended()
        if call.is_last:
            self._retire()

    def _function(self, template: m.TaskTemplate) -> Callable[..., Any]:
        """The function of a normal task. One that cannot be unpickled raises when it is called, as the task's error."""
        function = self._functions.get(template.function_key)
        if function is None:
            self._core.use_job(template)
            try:
                blob = template.function_blob or self._core.exported(template.function_key)
                function = serialization.load_code(blob)
            except Exception as error:
                return raiser(error)
            self._functions[template.function_key] = function
        return function

    # ---------------------------------------------------------- max_calls

    def _count(self, call: Call) -> None:
        limit, key = call.template.max_calls, call.template.function_key
        if limit > 0:
            self._runs[key] = self._runs.get(key, 0) + 1
            call.is_last = self._runs[key] >= limit

    def answers_last(self) -> None:
        """The running task is answered now, and is the last one: what is behind it goes back, and so does what was
        pushed before its owner knew. Locked."""
        self._retires = True
        self.hand_back()

    def _retire(self) -> None:
        """End once nobody needs this process. Main thread."""

        def look_again() -> None:
            self._waiter.finish()
            self._core.reactor.call_later(RETIRE_S, look_again)

        with self._core.lock:
            look_again()

    def _is_unneeded(self) -> bool:
        """All is answered, no task of ours runs, and nobody borrows what we own. Locked."""
        core = self._core
        core.refs.drain()
        core.submitter.leases.give_back_idle()
        core.reactor.flush()
        if self.invoker.unconfirmed or core.submitter.tasks or core.reactor.has_unsent():
            return False
        return not core.lending.has_borrowers()

    def _is_no_place(self) -> bool:
        """For an actor, with which the process would end: its tasks have left what others need. Locked."""
        return self._retires or (self._last_template is not None and not self._is_unneeded())

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
            kind, status = "INTENDED_USER_EXIT", 0
            cause = f"Worker exits by an user request. Worker exits with an exit code 0. {code}"
        elif self.actor is not None and code == 0:  # as Ray: `sys.exit(0)` is no failure
            kind, status = "INTENDED_USER_EXIT", 0
            cause = "Worker exits by an user request. Worker exits with an exit code 0."
        else:
            status = code if isinstance(code, int) else 1 if code else 0
            what = "actor" if self.actor is not None else "task"
            kind = "USER_ERROR"
            cause = f"Worker exits unexpectedly. Worker exits with an exit code {status}. The {what} called sys.exit."
        with core.lock:
            core.submitter.leases.give_back_idle()
            core.raylet.send(m.WorkerExiting(kind, cause))
            core.reactor.flush()
        if self.actor is not None:
            self.actor.finish_running()
            self.actor.call_shutdown_hook()
            atexit._run_exitfuncs()
            error.__traceback__ = error.__context__ = None  # whose frames hold the instance
            self.actor.instance = self.invoker.actor_instance = None  # its `__del__` runs, if nothing else holds it
        self._output.flush()
        with core.lock:
            core.reactor.flush()
        os._exit(status)


def _needed() -> m.Failed:
    return m.Failed("needed", "Others borrow what this process owns.")
