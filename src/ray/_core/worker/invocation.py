"""One call of user code: load its arguments, run it, pack what it returns, and answer its caller.

Floor: worker. Driven by the executor, on whatever thread or loop the call runs; normal tasks, actor methods and
constructors all come through here.
"""

from __future__ import annotations

import inspect
import logging
import time
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from ray._core.common import messages as m
from ray._core.common.errors import RayError, RayTaskError, TaskCancelledError, UserCodeException
from ray._core.common.ids import object_id
from ray._core.common.options import STREAMING
from ray._core.store import serialization
from ray._core.wire.connection import Connection
from ray._core.worker import streaming
from ray._core.worker.object_ref import ObjectRef
from ray._core.worker.objects import error_value
from ray._core.worker.output import WorkerOutput

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker

logger = logging.getLogger(__name__)


class Call(msgspec.Struct, eq=False):
    """A call under way. `connection` None: an actor's constructor, which answers to the raylet."""

    template: m.TaskTemplate
    task_id: bytes
    connection: Connection | None
    held: list[bytes] = []
    """Ref arguments that have been loaded, held until the call has ended."""
    is_canceled: bool = False
    is_last: bool = False
    """`max_calls` is reached: the process ends after it."""
    is_answered: bool = False
    retryable: bool = False
    """It raised what `retry_exceptions` names."""
    num_items: int = -1
    """Of a streaming call: how many items it has made."""
    has_refs: bool = False
    """There are refs in what it has returned."""
    start_s: float = msgspec.field(default_factory=time.perf_counter)

    @property
    def started_us(self) -> int:
        """Since the epoch."""
        return int((call_epoch_s + self.start_s) * 1e6)


call_epoch_s = time.time() - time.perf_counter()
"""When the clock of `Call.start_s` was zero; the same in all forks."""
current: ContextVar[Call | None] = ContextVar("current", default=None)
"""The call that this thread, or this asyncio task, runs; None outside of calls."""


post_mortem: Callable[[TracebackType | None], None] | None = None
"""Called with the traceback of each error that user code raises, before it is told (a debugger; see ray.util.rpdb)."""


class ActorExit(SystemExit):
    """The process ends by intent: `ray.actor.exit_actor`, or the last handle of the actor is gone."""


def raiser(error: Exception) -> Callable[..., Any]:
    """A function that raises `error`: so what goes wrong before a call becomes the call's own error."""

    def raise_it(*args: Any, **kwargs: Any) -> Any:
        raise error

    return raise_it


class Invoker:
    """Runs calls. Methods are not locked unless they say so."""

    def __init__(self, core: CoreWorker, output: WorkerOutput) -> None:
        self.core = core
        self.output = output
        self.running: dict[Call, int] = {}
        """What runs now, and the number of its attempt."""
        self.producers = streaming.Producers()
        self.unconfirmed = 0
        """Answers, and other words, that wait until owners have confirmed borrowers."""
        self.withheld = 0
        """Of these, answers of calls."""
        self.actor_instance: Any = None
        """The user's object, in an actor; errors tell its repr."""

    def run(self, call: Call, push: m.PushTask, function: Callable[..., Any]) -> None:
        """Run to the end and answer. SystemExit passes through: the process ends, and with it the call."""
        token = current.set(call)
        self.running[call] = push.attempt
        try:
            args, kwargs = self.arguments(call, push.args, push.deps)
            value = function(*args, **kwargs)
            del args, kwargs  # they may hold memory that the results need
            if call.template.num_returns == STREAMING or streaming.is_generator(value):
                streaming.run(self, call, push, value)
            else:
                self.succeed(call, value)
        except SystemExit:
            raise
        except BaseException as error:
            self.fail(call, error)
        finally:
            del self.running[call]
            current.reset(token)

    async def run_async(self, call: Call, push: m.PushTask, function: Callable[..., Any]) -> None:
        """As `run`, for an asyncio actor; a plain method runs in the loop too, and blocks it."""
        current.set(call)
        self.running[call] = push.attempt
        try:
            args, kwargs = self.arguments(call, push.args, push.deps)
            value = function(*args, **kwargs)
            if inspect.isawaitable(value):
                value = await value
            del args, kwargs
            if call.template.num_returns == STREAMING or streaming.is_generator(value):
                await streaming.run_async(self, call, push, value)
            else:
                self.succeed(call, value)
        except SystemExit:
            raise
        except BaseException as error:
            self.fail(call, error)
        finally:
            del self.running[call]

    # ---------------------------------------------------------- arguments

    def arguments(self, call: Call, blob: bytes, deps: list[m.Dep]) -> tuple[Any, dict[str, Any]]:
        args, kwargs = serialization.deserialize(blob)
        if deps:
            args = list(args)
            for dep in deps:
                given = dep.value
                if given.blob is None or given.is_error or given.contained:
                    value = self._load(call, dep)
                else:  # all that there is to it: neither memory nor other objects depend on this process
                    value = serialization.deserialize(given.blob)
                if isinstance(dep.slot, int):
                    args[dep.slot] = value
                else:
                    kwargs[dep.slot] = value
        return args, kwargs

    def _load(self, call: Call, dep: m.Dep) -> Any:
        """The value of a ref argument. The submitter holds the object while the call runs."""
        core = self.core
        assert call.connection is not None
        with core.lock:
            entry = core.objects.get(dep.object_id)
            if entry is None:
                entry = core.lending.borrow(dep.object_id, dep.owner or call.connection.peer)
            if entry.value is None and (dep.value.blob is not None or dep.value.location is not None):
                core.refs.resolve(dep.object_id, dep.value)
            entry.held += 1
            call.held.append(dep.object_id)
            ref: ObjectRef[Any] = core.refs.new_ref(dep.object_id, entry.owner)
        return core.values.load(ref, dep.value)

    # ---------------------------------------------------------- results

    def succeed(self, call: Call, value: Any) -> None:
        """Pack what the call returned and answer; what cannot be packed raises (and `fail` reports that)."""
        if call.is_canceled and call.template.method:
            self.refuse(call)
        elif call.template.num_returns == 1:
            self.finish(call, [self.pack_value(call, 1, value)], failed=False)
        elif call.template.num_returns == 0:
            self.finish(call, [], failed=False)
        else:
            streaming.answer_each(self, call, list(value))

    def fail(self, call: Call, error: BaseException) -> None:
        if isinstance(error, KeyboardInterrupt) or (call.is_canceled and _is_of_asyncio(error)):
            error = TaskCancelledError(call.task_id.hex()).with_traceback(error.__traceback__)
        elif post_mortem is not None:
            post_mortem(_user_frames(error))
        self._fail(call, self.judge(call, error))

    def judge(self, call: Call, error: BaseException) -> m.Value:
        """The error as a value; and note whether the owner may run the call again."""
        call.retryable = _is_retried(call.template.retry_exceptions, error)
        return self.error_value(call.template, error)

    def refuse(self, call: Call) -> None:
        """Answer for a call that was cancelled: it did not start, or it is a method that took no notice."""
        self._fail(call, error_value(TaskCancelledError(call.task_id.hex())))

    def _fail(self, call: Call, error: m.Value) -> None:
        count = call.template.num_returns if call.template.num_returns >= 0 else 1
        self.finish(call, [error] * count, failed=True)

    def finish(self, call: Call, results: list[m.Value], failed: bool) -> None:
        """Answer, with the results packed."""
        self.output.flush()
        duration_us = int((time.perf_counter() - call.start_s) * 1e6)
        done = m.TaskDone(
            call.task_id, results, [], failed, call.retryable, duration_us, call.num_items, call.started_us
        )
        core = self.core
        with core.lock:
            core.refs.drain()
            call.is_answered = True
            for key in call.held:
                core.refs.hold(key, -1)
            if call.is_last:
                done.worker_exits = True
                core.executor.answers_last()
            self._answer(call, done)

    def pack_value(self, call: Call, index: int, value: Any) -> m.Value:
        """Serialize result number `index` of the call; refs inside are lent to the caller."""
        core = self.core
        blob = serialization.plain_blob(value)
        if blob is not None and len(blob) <= core.config.max_direct_call_object_size:
            return m.Value(blob)
        serialized = serialization.serialize(value)
        assert call.connection is not None
        key, attempt = object_id(call.task_id, index), self.running.get(call, 0)
        written = core.values.write(key, serialized, call.connection.peer, attempt)
        if not serialized.refs:
            return written
        call.has_refs = True
        contained = tuple(m.ContainedRef(ref.binary(), ref._owner or core.address) for ref in serialized.refs)
        with core.lock:
            for ref in serialized.refs:
                if ref._owner is None and not call.connection.is_closed:  # a caller that has gone gives nothing back
                    core.lending.lend(ref.binary(), call.connection.peer.worker_id)
        return m.Value(written.blob, written.location, written.is_error, contained)

    def unpack(self, call: Call, key: bytes, value: m.Value) -> None:
        """The caller will not hear of this result: free it, and what is inside is not lent to it."""
        core = self.core
        assert call.connection is not None
        with core.lock:
            if value.location is not None:
                core.raylet.send(m.FreeObjects([key], attempt=value.location.attempt))
            mine = [part.object_id for part in value.contained if part.owner.worker_id == core.worker_id]
            core.lending.returned(m.RemoveBorrower(mine, call.connection.peer.worker_id, [1] * len(mine)))

    def error_value(self, template: m.TaskTemplate, error: BaseException) -> m.Value:
        return m.Value(blob=self.error_blob(template, error), is_error=True)

    def error_blob(self, template: m.TaskTemplate, error: BaseException) -> bytes:
        """The error as its caller shall see it: RayTaskError around what user code raised."""
        text = "".join(traceback.format_exception(type(error), error, _user_frames(error)))
        cause = getattr(error, "cause", error) if isinstance(error, RayTaskError) else error
        try:
            return serialization.serialize_error(self._wrapped(template, text, cause)).to_blob()
        except Exception as problem:  # the user's exception cannot be pickled: its text can
            said = RayError(f"{type(cause).__name__}: {cause} (it could not be pickled: {problem})")
            return serialization.serialize_error(self._wrapped(template, text, said)).to_blob()

    def _wrapped(self, template: m.TaskTemplate, text: str, cause: BaseException) -> RayTaskError:
        core, actor_repr, actor_id = self.core, None, None
        if template.method:
            actor_id = core.actor_id.hex()
            try:
                actor_repr = repr(self.actor_instance)
            except Exception as problem:  # the user's __repr__ is broken: that must not hide the user's error
                actor_repr = f"<{template.name}, whose __repr__ raised {problem!r}>"
        return RayTaskError(template.name, text, cause, ip=core.node.host, actor_repr=actor_repr, actor_id=actor_id)

    # ---------------------------------------------------------- answering (locked)

    def _answer(self, call: Call, done: m.TaskDone) -> None:
        """Send the results once every owner knows of the refs that this process keeps, or passes on."""
        core, connection = self.core, call.connection
        assert connection is not None
        if not core.lending.has_unregistered and not call.has_refs:
            connection.send(done)
            return
        caller = connection.peer
        outside: list[tuple[bytes, m.Address, m.Address]] = []
        for key, owner in core.lending.take_unregistered():
            if owner.worker_id == caller.worker_id:
                done.borrowed = [*done.borrowed, key]
            else:
                outside.append((key, owner, core.address))
        for value in done.results:
            for part in value.contained:
                if part.owner.worker_id not in (core.worker_id, caller.worker_id):
                    outside.append((part.object_id, part.owner, caller))
        self.withheld += 1

        def confirmed() -> None:
            self.withheld -= 1
            connection.send(done)

        self.after(outside, confirmed)

    def after_registration(self, then: Callable[[], None]) -> None:
        """Call `then` once all owners know of the refs that this process keeps (a constructor's arguments)."""
        core = self.core
        self.after([(key, owner, core.address) for key, owner in core.lending.take_unregistered()], then)

    def after(self, outside: list[tuple[bytes, m.Address, m.Address]], then: Callable[[], None]) -> None:
        """Tell owners of borrowers, as (object id, owner, borrower), and call `then` once all have confirmed."""
        unconfirmed = len(outside)
        if not unconfirmed:
            then()
            return
        self.unconfirmed += 1

        def confirmed() -> None:
            nonlocal unconfirmed
            unconfirmed -= 1
            if not unconfirmed:
                self.unconfirmed -= 1
                then()

        for key, owner, borrower in outside:
            self.core.lending.register(key, owner, borrower, confirmed)


def _is_of_asyncio(error: BaseException) -> bool:
    """Whether a coroutine was cancelled."""
    import asyncio  # not for a driver, see ref_generator

    return isinstance(error, asyncio.CancelledError)


def _is_retried(wanted: bytes | None, error: BaseException) -> bool:
    """Whether `retry_exceptions` names what was raised; of a UserCodeException its cause counts."""
    if not wanted:
        return wanted is not None and isinstance(error, Exception)
    raised: BaseException | None = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(raised, UserCodeException) and raised.__cause__ is not None:
        raised = raised.__cause__
    try:
        return isinstance(raised, serialization.load_code(wanted))
    except Exception:  # as of classes in modules that are not here: the task's own error is what its caller gets
        logger.exception("retry_exceptions cannot be read here, so the task is not retried.")
        return False


def _user_frames(error: BaseException) -> Any:
    """The traceback without this file's frames."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return frames
