"""The streaming tasks of this process, as their owner: items come in, the consumer takes them.

Floor: worker. `stream.Stream` keeps the positions; this keeps the items alive until they are taken, and wakes who
waits. Item n of a task is its object n + 1; object 1 is the ref that `completed()` gives. Methods are locked unless
they say so.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common.errors import RaySystemError, StreamingGeneratorReplayInconsistentError
from ray._core.common.ids import object_id
from ray._core.wire.connection import Connection
from ray._core.wire.reactor import Waiter
from ray._core.worker.lineage import is_in_memory
from ray._core.worker.object_ref import ObjectRef
from ray._core.worker.objects import Entry, error_value
from ray._core.worker.ref_generator import ObjectRefGenerator
from ray._core.worker.stream import Inconsistent, Stream

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker


class OpenStream:
    """One streaming task: its positions, who waits, and where its consumer's progress is told (back-pressure)."""

    __slots__ = ("has_ended", "is_shared", "limited", "moved", "positions", "producer", "task_id", "waiters")

    def __init__(self, task_id: bytes, limit: int, shared_limit: int) -> None:
        self.task_id = task_id
        self.positions = Stream()
        self.limited = limit > 0 or shared_limit > 0
        """The producer waits for the consumer: it must be told what was taken."""
        self.is_shared = shared_limit > 0
        """So do other streams of the same actor, also when this one has ended."""
        self.producer: Connection | None = None
        self.has_ended = False
        self.waiters: list[Waiter] = []
        self.moved: list[Future[None]] = []

    def add_waiter(self, waiter: Waiter) -> None:
        self.waiters.append(waiter)

    def __repr__(self) -> str:
        return f"<OpenStream {self.task_id.hex()} {self.positions!r}>"

    @property
    def is_ready(self) -> bool:
        """Whether `next` would return at once: with a ref, or with the end."""
        return self.positions.is_ready or self.positions.is_exhausted


class Streams:
    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self._open: dict[bytes, OpenStream] = {}

    def __repr__(self) -> str:
        return f"<Streams {list(self._open.values())}>"

    # ---------------------------------------------------------- the task

    def open(self, task_id: bytes, limit: int, shared_limit: int) -> ObjectRefGenerator[Any]:
        """A streaming task begins; its object 1 is in the table already. The limits are of back-pressure."""
        stream = self._open[task_id] = OpenStream(task_id, limit, shared_limit)
        return ObjectRefGenerator(self, stream, self._core.refs.new_ref(object_id(task_id, 1)))

    def progress(self, task_id: bytes, producer: Connection) -> tuple[int, int]:
        """How many items are there and taken, when the task is sent to `producer`: it starts from there."""
        stream = self._open.get(task_id)
        if stream is None:
            return 0, _UNLIMITED
        positions = stream.positions
        if stream.has_ended:  # it runs again for the items that were lost
            lost = (index for index in range(1, positions.arrived + 1) if self._is_lost(object_id(task_id, index + 1)))
            return next(lost, positions.arrived + 1) - 1, _UNLIMITED
        stream.producer = producer
        return positions.arrived, _UNLIMITED if positions.is_dropped else positions.taken

    def awaited(self) -> list[tuple[bytes, list[Waiter]]]:
        """Tasks whose next item threads of this process wait for, and by what."""
        return [(task_id, stream.waiters) for task_id, stream in self._open.items() if stream.waiters]

    def item(self, message: m.GeneratorItem) -> None:
        """A worker sent an item."""
        core = self._core
        stream = self._open.get(message.task_id)
        key = object_id(message.task_id, message.index + 1)
        entry = core.objects.get(key)
        record = core.submitter.tasks.get(message.task_id) if entry is not None else None
        is_told = record is not None and record.told is not None
        if entry is not None and is_told and not is_in_memory(entry):
            core.refs.drop(key, message.value)  # in its place is the error that was told meanwhile
            return
        if entry is not None:  # made again, since this item or another one was lost
            if not core.lineage.came_again(key, message.value):
                core.refs.accept(key, message.value)
            return
        if stream is not None and stream.positions.arrive(message.index):
            self._keep(key, message.value)
            self._move(stream)
        else:
            core.refs.accept(key, message.value)  # frees what it holds, since nobody wants it

    def ended(self, task_id: bytes, count: int) -> None:
        """The task ended well after `count` items."""
        stream = self._open.get(task_id)
        try:
            if stream is not None:
                stream.positions.close(count)
        except Inconsistent as problem:
            self.failed(task_id, _inconsistent(f"{problem}"))
            return
        self._give_up_lost(task_id, _inconsistent(f"it gave only {count}"))
        if stream is not None:
            self._over(stream)

    def failed(self, task_id: bytes, error: m.Value, after: int | None = None) -> None:
        """The task failed for good, `after` so many items if that is known: the error is the last item."""
        self._give_up_lost(task_id, error)
        stream = self._open.get(task_id)
        if stream is None:
            return
        place, beyond = stream.positions.fail(after)
        for index in beyond:
            self._core.refs.hold(object_id(task_id, index + 1), -1)
        if place is not None and stream.positions.arrive(place):
            self._keep(object_id(task_id, place + 1), error)
        self._over(stream)

    def _is_lost(self, key: bytes) -> bool:
        entry = self._core.objects.get(key)
        return entry is not None and entry.value is None

    def _give_up_lost(self, task_id: bytes, error: m.Value) -> None:
        """The task has run again, and items that were lost have not come."""
        for key in self._core.lineage.wanted(task_id):
            if self._is_lost(key):
                self._core.refs.resolve(key, error)

    def _keep(self, key: bytes, value: m.Value) -> None:
        """An item waits for its consumer."""
        self._core.objects[key] = entry = Entry(None)
        entry.held = 1
        self._core.refs.accept(key, value)

    def _over(self, stream: OpenStream) -> None:
        stream.has_ended = True
        if not stream.is_shared:
            stream.producer = None
        if stream.positions.is_dropped:
            del self._open[stream.task_id]
        self._move(stream)

    def _move(self, stream: OpenStream) -> None:
        waiters, stream.waiters = stream.waiters, []
        for waiter in waiters:
            waiter.arrived()
        moved, stream.moved = stream.moved, []
        for future in moved:
            if not future.done():
                future.set_result(None)

    # ---------------------------------------------------------- the consumer

    def next(self, stream: OpenStream, timeout_s: float | None) -> ObjectRef[Any] | None:
        """The next item's ref once it is there; None at the end. Not locked. Raises TimeoutError."""
        core = self._core
        deadline_at_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            with core.lock:
                if core.is_closed:
                    raise RaySystemError("This generator is of a session that has ended.")
                core.refs.drain()
                if stream.positions.is_ready:
                    return self._take(stream)
                if stream.positions.is_exhausted:
                    return None
                waiter = Waiter(core.reactor)
                stream.waiters.append(waiter)
            left_s = None if deadline_at_s is None else deadline_at_s - time.monotonic()
            try:
                if left_s is None or left_s > 0:
                    about = [m.Subject("task", stream.task_id, core.node.node_id, core.worker_id)]
                    core.values.block(waiter, left_s, about=about)
                if not waiter.done:
                    raise TimeoutError
            finally:
                with core.lock:
                    if waiter in stream.waiters:
                        stream.waiters.remove(waiter)

    def moved(self, stream: OpenStream) -> Future[None]:
        """Done at the next change of the stream. Not locked."""
        future: Future[None] = Future()
        with self._core.lock:
            stream.moved.append(future)
            self._core.reactor.flush()
        return future

    def _take(self, stream: OpenStream) -> ObjectRef[Any]:
        core, key = self._core, object_id(stream.task_id, stream.positions.take() + 1)
        ref: ObjectRef[Any] = core.refs.new_ref(key)
        core.refs.hold(key, -1)
        if stream.limited:
            self._tell(stream, stream.positions.taken)
        return ref

    def _tell(self, stream: OpenStream, count: int) -> None:
        if stream.producer is not None:
            stream.producer.send(m.GeneratorConsumed(stream.task_id, count))
            self._core.reactor.soon_flushed()

    def dropped(self, stream: OpenStream) -> None:
        """The generator has gone. Not locked: the collector calls it anywhere, so it is counted later (`drain`)."""
        self._core.refs.released.append(stream.task_id)

    def drop(self, task_id: bytes) -> None:
        """Free what nobody took; the task runs on, and no longer waits for its consumer."""
        stream = self._open.get(task_id)
        if stream is None:
            return
        for index in stream.positions.drop():
            self._core.refs.hold(object_id(task_id, index + 1), -1)
        if stream.limited:
            self._tell(stream, _UNLIMITED)
        if stream.has_ended:
            del self._open[task_id]


def _inconsistent(problem: str) -> m.Value:
    text = f"A streaming task that ran again gave another number of items: {problem}. Make it deterministic."
    return error_value(StreamingGeneratorReplayInconsistentError(text))


_UNLIMITED = 1 << 62
"""More items than any consumer takes."""
