"""Runs the tasks that owners push to this worker, one after another.

Floor: worker. The main thread runs user code and, between tasks, the reactor; the follower receives meanwhile.
"""

from __future__ import annotations

import os
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common.errors import RayError, RayTaskError
from ray._core.common.ids import object_id
from ray._core.store import serialization
from ray._core.wire.reactor import Connection, Waiter
from ray._core.worker.object_ref import ObjectRef
from ray._core.worker.objects import Entry

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker

SLOW_S = 0.01
"""A task that runs longer hands back what waits behind it."""


class Executor:
    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self._templates: dict[tuple[Connection, int], m.TaskTemplate] = {}
        self._functions: dict[str, Callable[..., Any]] = {}
        self._queue: deque[tuple[Connection, m.PushTask]] = deque()
        self._waiter = Waiter(core.reactor)
        self._running: m.PushTask | None = None
        core.reactor.on_takeover = self._watch

    def received(self, connection: Connection, message: Any) -> None:
        """Locked."""
        if isinstance(message, m.TaskTemplate):
            self._templates[connection, message.template_id] = message
            return
        self._queue.append((connection, message))
        self._waiter.finish()

    def is_running_here(self) -> bool:
        return getattr(self._core.current, "template", None) is not None

    def run(self) -> None:
        """Serve for ever; the process ends with its raylet, or by `sys.exit` in user code."""
        core = self._core
        while True:
            with core.lock:
                if not self._queue:
                    self._waiter = Waiter(core.reactor)
                    core.drain()
                    core.reactor.flush()
                    job = None
                else:
                    job = self._queue.popleft()
            if job is None:
                core.reactor.wait(self._waiter)
            else:
                self._execute(*job)

    # ---------------------------------------------------------- handing back

    def hand_back(self) -> None:
        """Return what is not started to its owners: this worker waits or is slow. Locked."""
        owners: dict[Connection, list[bytes]] = {}
        for connection, push in self._queue:
            owners.setdefault(connection, []).append(push.task_id)
        self._queue.clear()
        for connection, task_ids in owners.items():
            connection.send(m.TasksReturned(task_ids, blocked=True))

    def _watch(self) -> None:
        """The follower leads, so a task has run for a millisecond; look again when it would count as slow. Locked."""
        running = self._running

        def check() -> None:
            if running is self._running and running is not None:
                self.hand_back()

        if running is not None:
            self._core.reactor.call_later(SLOW_S, check)

    # ---------------------------------------------------------- running

    def _execute(self, connection: Connection, push: m.PushTask) -> None:
        core = self._core
        template = self._templates[connection, push.template_id]
        core.current.template, core.current.task_id = template, push.task_id
        self._running = push
        start_s = time.perf_counter()
        failed = True
        try:
            values = self._call(template, push)
            results = self._pack(template, push.task_id, values, connection)
            failed = False
        except SystemExit as error:
            core.raylet.send(m.WorkerExiting("USER_ERROR", f"The task called sys.exit({error.code})."))
            core.reactor.flush()
            os._exit(error.code if isinstance(error.code, int) else 1)
        except BaseException as error:
            results = [self._error(template, error)] * max(template.num_returns, 0)
        finally:
            core.current.template = None
            self._running = None
        duration_us = int((time.perf_counter() - start_s) * 1e6)
        done = m.TaskDone(push.task_id, results, failed=failed, duration_us=duration_us)
        with core.lock:
            core.drain()
            for dep in push.deps:
                core.hold(dep.object_id, -1)
            self._answer(connection, done)

    def _call(self, template: m.TaskTemplate, push: m.PushTask) -> Any:
        function = self._functions.get(template.function_key)
        if function is None:
            function = serialization.deserialize(bytes((serialization.PICKLE,)) + template.function_blob)
            self._functions[template.function_key] = function
        args, kwargs = serialization.deserialize(push.args)
        if push.deps:
            args = list(args)
            for dep in push.deps:
                value = self._load(dep)
                if isinstance(dep.slot, int):
                    args[dep.slot] = value
                else:
                    kwargs[dep.slot] = value
        return function(*args, **kwargs)

    def _load(self, dep: m.Dep) -> Any:
        """The value of a ref argument. The submitter holds the object while the task runs."""
        core = self._core
        with core.lock:
            entry = core.objects.get(dep.object_id)
            if entry is None:
                entry = core.objects[dep.object_id] = Entry(dep.owner)
            if entry.value is None:
                entry.value = dep.value
            entry.held += 1
            ref: ObjectRef[Any] = core.new_ref(dep.object_id, entry.owner)
        return core.load(ref, dep.value)

    def _pack(self, template: m.TaskTemplate, task_id: bytes, value: Any, caller: Connection) -> list[m.Value]:
        count = template.num_returns
        if count == 0:
            return []
        values = [value]
        if count > 1:
            values = list(value)
            if len(values) != count:
                raise ValueError(f"Task returned {len(values)} objects, but num_returns={count}.")
        results = []
        for index, each in enumerate(values, start=1):
            serialized = serialization.serialize(each)
            written = self._core.write(object_id(task_id, index), serialized)
            contained = [m.ContainedRef(ref.binary(), ref._owner or self._core.address) for ref in serialized.refs]
            with self._core.lock:
                for ref in serialized.refs:
                    if ref._owner is None:
                        self._core.lend(ref.binary(), caller.peer.worker_id)
            results.append(m.Value(written.blob, written.location, False, contained))
        return results

    def _error(self, template: m.TaskTemplate, error: BaseException) -> m.Value:
        text = "".join(traceback.format_exception(type(error), error, _user_frames(error)))
        wrapped = error if isinstance(error, RayError) and not isinstance(error, RayTaskError) else None
        cause = getattr(error, "cause", error) if isinstance(error, RayTaskError) else error
        try:
            value = wrapped or RayTaskError(template.name, text, cause, ip=self._core.node.host)
            blob = serialization.serialize_error(value).to_blob()
        except Exception as problem:  # the user's exception cannot be pickled: its text can
            said = RayError(f"{type(cause).__name__}: {cause} (it could not be pickled: {problem})")
            value = RayTaskError(template.name, text, said, ip=self._core.node.host)
            blob = serialization.serialize_error(value).to_blob()
        return m.Value(blob=blob, is_error=True)

    def _answer(self, connection: Connection, done: m.TaskDone) -> None:
        """Send the results once every owner knows of the refs that this process keeps, or passes on. Locked."""
        core, caller = self._core, connection.peer
        outside: list[tuple[bytes, m.Address, m.Address]] = []
        for key, entry in core.objects.items():
            if entry.owner is not None and not entry.registered:
                entry.registered = True
                if entry.owner.worker_id == caller.worker_id:
                    done.borrowed = [*done.borrowed, key]
                else:
                    outside.append((key, entry.owner, core.address))
        for value in done.results:
            for part in value.contained:
                if part.owner.worker_id not in (core.worker_id, caller.worker_id):
                    outside.append((part.object_id, part.owner, caller))
        unconfirmed = len(outside)
        if not unconfirmed:
            connection.send(done)
            return

        def confirmed() -> None:
            nonlocal unconfirmed
            unconfirmed -= 1
            if not unconfirmed:
                connection.send(done)

        for key, owner, borrower in outside:
            core.lending.register(key, owner, borrower, confirmed)


def _user_frames(error: BaseException) -> Any:
    """The traceback without this file's frames."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return frames
