"""An actor inside its worker process: the user's instance, and how its calls run at the same time.

Floor: worker. A plain actor runs on the main thread, one call after another (the executor's queue). With
`max_concurrency` or concurrency groups each group has a pool of threads. With any coroutine method the main thread runs
an asyncio loop that hosts the reactor, and each group bounds how many calls are under way.
Source: Ray docs, "AsyncIO / Concurrency for Actors" and "Limiting Concurrency Per-Method with Concurrency Groups".
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from ray._core.common import log_markers
from ray._core.common import messages as m
from ray._core.common.naming import short_name
from ray._core.store import serialization
from ray._core.wire.alert_poll import AlertSelector
from ray._core.wire.connection import Connection
from ray._core.worker import unread_errors
from ray._core.worker.actor_recipe import ActorRecipe
from ray._core.worker.invocation import Call, Invoker, current, raiser
from ray._core.worker.thread_group import Job, ThreadGroup

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker

logger = logging.getLogger("ray._private.worker")
DEFAULT_GROUP = ""
"""Calls of methods that name no concurrency group; its limit is the actor's `max_concurrency`."""


class ActorRuntime:
    """`end` asks the main thread to end the process."""

    def __init__(self, core: CoreWorker, invoker: Invoker, end: Callable[[SystemExit], None]) -> None:
        self._core = core
        self._invoker = invoker
        self._end = end
        self.instance: Any = None
        self.is_async = False
        self.is_concurrent = False
        self.constructing: Call | None = None
        """The constructor's call, while that runs."""
        self._groups: dict[str, ThreadGroup | LoopGroup] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    # ---------------------------------------------------------- creation

    def create(self, connection: Connection, request: m.ConstructActor) -> None:
        """Construct the user's object and answer the raylet."""
        core, spec = self._core, request.spec
        recipe = msgspec.msgpack.decode(spec.spec_blob, type=ActorRecipe)
        core.actor_id, core.job_id, core.namespace = spec.actor_id, spec.job_id, recipe.namespace
        core.use_job(recipe)
        core.actor_name, core.actor_restarts = spec.name, request.num_restarts
        template = m.TaskTemplate(
            template_id=0,
            function_key="",
            function_blob=b"",
            name=f"{short_name(spec.class_name)}.__init__",
            function_name=recipe.constructor,
            method="__init__",
            num_returns=0,
            job_id=spec.job_id,
        )
        if recipe.is_async:
            self._loop = asyncio.SelectorEventLoop(AlertSelector())
            asyncio.set_event_loop(self._loop)  # constructors make locks and tasks on it
        output = self._invoker.output
        output.announce(spec.job_id, log_markers.ACTOR, short_name(spec.class_name))
        self.constructing = Call(template, spec.creation_task_id, None)
        token = current.set(self.constructing)
        try:
            self.instance = self._construct(spec, recipe)
            own_repr = inspect.getattr_static(type(self.instance), "__repr__") is not object.__repr__
            repr_name = repr(self.instance) if own_repr else ""
            if repr_name:
                output.announce(spec.job_id, log_markers.ACTOR, repr_name)
        except SystemExit:
            raise
        except BaseException as error:
            blob = self._invoker.error_blob(template, error)
            shown = unread_errors.describe(m.Value(blob=blob)) or error
            logger.error(
                "Exception raised in creation task: The actor died because of an error raised in its creation task, %s",
                shown,
            )
            output.flush()
            failed = m.Failed(kind="init_failed", message=f"{type(error).__name__}: {error}", detail=blob)
            with core.lock:
                connection.reply(request, failed)
            return
        finally:
            current.reset(token)
            self.constructing = None
        with core.lock:
            self._make_groups(recipe)
            created = m.ActorCreated(address=core.address, pid=os.getpid(), repr_name=repr_name)
            self._invoker.after_registration(lambda: connection.reply(request, created))
            core.reactor.flush()

    def _construct(self, spec: m.ActorSpec, recipe: ActorRecipe) -> Any:
        core = self._core
        blob = recipe.class_blob or core.exported(spec.class_key)
        cls = serialization.load_code(blob)
        args, kwargs = serialization.deserialize(recipe.args)
        if recipe.deps:
            args = list(args)
            refs = [core.refs.borrowed_ref(dep.object_id, dep.owner or spec.owner) for dep in recipe.deps]
            for dep, value in zip(recipe.deps, core.values.get(refs, None), strict=True):
                if isinstance(dep.slot, int):
                    args[dep.slot] = value
                else:
                    kwargs[dep.slot] = value
        # In two steps, so that an error of the constructor can tell the object's repr, as Ray's does.
        self._invoker.actor_instance = instance = cls.__new__(cls, *args, **kwargs)
        instance.__init__(*args, **kwargs)
        return instance

    def _make_groups(self, recipe: ActorRecipe) -> None:
        limits = {DEFAULT_GROUP: recipe.max_concurrency, **recipe.concurrency_groups}
        self.is_async = recipe.is_async
        self.is_concurrent = recipe.is_async or recipe.max_concurrency > 1 or bool(recipe.concurrency_groups)
        if self.is_async:
            assert self._loop is not None
            self._groups = {
                name: LoopGroup(limit, self._loop, self._run_async, self._refuse) for name, limit in limits.items()
            }
        elif self.is_concurrent:
            later = self._core.reactor.call_later
            self._groups = {
                name: ThreadGroup(name, limit, self._run, self._invoker.refuse, later) for name, limit in limits.items()
            }

    # ---------------------------------------------------------- calls

    def method(self, template: m.TaskTemplate) -> Callable[..., Any]:
        """The bound method; one that the class lacks raises when it is called, as the call's error."""
        try:
            method: Callable[..., Any] = getattr(self.instance, template.method)
        except Exception as error:
            return raiser(error)
        return method

    def is_coroutine(self, template: m.TaskTemplate) -> bool:
        """Whether the method can be cancelled while it runs."""
        method = self.method(template)
        return inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)

    def dispatch(self, call: Call, push: m.PushTask) -> None:
        """Start the call, or queue it, in its concurrency group. Locked."""
        group = self._groups.get(call.template.concurrency_group)
        if group is None:
            known = sorted(name for name in self._groups if name)
            problem = f"The actor has no concurrency group {call.template.concurrency_group!r}; it has {known}."
            self._invoker.fail(call, ValueError(problem))
            return
        group.submit((call, push, self.method(call.template)))

    def queued(self, task_id: bytes) -> tuple[str, int, int, list[Call]] | None:
        """As `Executor.queued`: of a call that waits in its group."""
        for group in self._groups.values():
            waiting = group.waiting()
            for number, call in enumerate(waiting):
                if call.task_id == task_id:
                    return call.template.name, number, group.limit, group.running()
        return None

    def cancel(self, task_id: bytes) -> None:
        """Drop a call that is queued in its group; cancel a coroutine; tell a method in a thread. Locked."""
        for group in self._groups.values():
            if group.cancel(task_id):
                return

    def _refuse(self, call: Call) -> None:
        """In the loop."""
        self._invoker.refuse(call)
        self._answered(more_wait=True)

    def _answered(self, more_wait: bool) -> None:
        """Send the answer of a call that has ended; together with those that follow, if `more_wait` for this thread."""
        reactor = self._core.reactor
        with reactor.lock:
            if more_wait:
                reactor.soon_flushed()
            else:
                reactor.flush()

    def _run(self, job: Job, more_wait: bool) -> None:
        """On a thread of a group. `more_wait`: other calls are queued."""
        try:
            self._invoker.run(*job)
        except SystemExit as error:
            with self._core.lock:
                self._end(error)
        self._answered(more_wait)

    async def _run_async(self, job: Job) -> None:
        job[0].start_s = time.perf_counter()
        try:
            await self._invoker.run_async(*job)
        except SystemExit as error:
            with self._core.lock:
                self._end(error)
        self._answered(more_wait=True)

    def run_loop(self) -> None:
        """Run the asyncio actor until it is to end. Main thread."""
        assert self._loop is not None
        self._core.reactor.host(self._loop)
        self._loop.run_forever()

    def stop_loop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def finish_running(self) -> None:
        """Let calls that run come to their end; nothing new starts. Main thread, the loop stopped."""
        for group in self._groups.values():
            group.finish()

    def call_shutdown_hook(self) -> None:
        """`__ray_shutdown__` of the instance, if any; what it raises is logged. Main thread, nothing else runs."""
        hook = getattr(self.instance, "__ray_shutdown__", None)
        if not callable(hook):
            return
        try:
            result = hook()
            if inspect.iscoroutine(result):
                (self._loop or asyncio.new_event_loop()).run_until_complete(result)
        except Exception:
            logger.exception("__ray_shutdown__ of actor %s failed.", type(self.instance).__name__)


class LoopGroup:
    """At most `limit` calls under way in the loop."""

    def __init__(
        self, limit: int, loop: asyncio.AbstractEventLoop, run: Callable[[Job], Any], refuse: Callable[[Call], None]
    ) -> None:
        self.limit = limit
        self._loop = loop
        self._run = run
        self._refuse = refuse
        self._waiting: deque[Job] = deque()
        self._tasks: dict[asyncio.Task[None], Call] = {}
        self._calls: dict[bytes, Call] = {}
        """All that were submitted and have not ended, by task id."""

    def submit(self, job: Job) -> None:
        """From whatever thread leads the reactor."""
        self._calls[job[0].task_id] = job[0]
        self._in_loop(self._start, job)

    def waiting(self) -> list[Call]:
        """From whatever thread leads the reactor. Also those that the loop has not come to yet."""
        running = set(self.running())
        return [call for call in self._calls.copy().values() if call not in running]

    def running(self) -> list[Call]:
        return list(self._tasks.copy().values())

    def cancel(self, task_id: bytes) -> bool:
        """From whatever thread leads the reactor."""
        call = self._calls.get(task_id)
        if call is None:
            return False
        call.is_canceled = True
        self._in_loop(self._cancel, call)
        return True

    def _in_loop(self, function: Callable[..., None], *args: Any) -> None:
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            function(*args)
        else:
            self._loop.call_soon_threadsafe(function, *args)

    def _start(self, job: Job) -> None:
        if len(self._tasks) >= self.limit:
            self._waiting.append(job)
            return
        if self._calls.get(job[0].task_id) is not job[0]:
            return  # cancelled meanwhile, or sent again
        task = self._loop.create_task(self._run(job))
        self._tasks[task] = job[0]
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        call = self._tasks.pop(task)
        if self._calls.get(call.task_id) is call:  # else it was sent again, to run once more
            del self._calls[call.task_id]
        if task.cancelled():  # before its first step, so nothing of it ran that could have answered
            self._refuse(call)
        while self._waiting and len(self._tasks) < self.limit:
            self._start(self._waiting.popleft())

    def _cancel(self, call: Call) -> None:
        for task, running in self._tasks.items():
            if running is call:
                task.cancel()
                return
        if self._calls.pop(call.task_id, None) is not None:
            self._waiting = deque(job for job in self._waiting if job[0] is not call)
            self._refuse(call)

    def finish(self) -> None:
        self._waiting.clear()
        running = {task for task in self._tasks if not task.done()}
        if running:
            self._loop.run_until_complete(asyncio.wait(running))
