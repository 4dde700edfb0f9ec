"""Generators that run in this worker: each item goes to the owner as it is made.

Floor: worker. For tasks and for actor methods of every kind: `run` drives a generator on the thread that calls it,
`run_async` in an event loop. The owner's side is `streams`.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common.errors import TaskCancelledError
from ray._core.common.ids import object_id
from ray._core.common.options import STREAMING
from ray._core.store import serialization
from ray._core.wire.connection import Connection
from ray._core.wire.reactor import Waiter
from ray._core.worker.ref_generator import DynamicObjectRefGenerator

if TYPE_CHECKING:
    import asyncio

    from ray._core.worker.invocation import Call, Invoker

_log = logging.getLogger("ray")
FLUSH_S = 0.0005
"""An item that comes later than this after the last flush leaves at once; a burst leaves within a millisecond."""
NONE = m.Value(blob=serialization.serialize(None).to_blob())
_EVERYTHING = 1 << 62


def is_generator(value: Any) -> bool:
    return isinstance(value, (GeneratorType, AsyncGeneratorType))


def run(invoker: Invoker, call: Call, push: m.PushTask, items: Any) -> None:
    """Drive what a call returned to its end, and answer. Raises what the generator raises when it streams."""
    if isinstance(items, AsyncIterator):
        import asyncio  # not for a driver, see ref_generator

        asyncio.run(run_async(invoker, call, push, items))
    elif call.template.num_returns == STREAMING:
        with _producing(invoker, call, push) as producer:
            producer.run(iter(items))
        invoker.finish(call, [NONE], failed=False)
    else:
        with Collected(invoker, call) as collected:
            for item in items:
                if not collected.add(item):
                    break
        collected.answer()


def answer_each(invoker: Invoker, call: Call, values: list[Any]) -> None:
    """Answer with one result per value. One that cannot be packed fails itself and those after it.

    Raises:
        ValueError: there are more or fewer than the task said.
    """
    if len(values) != call.template.num_returns:
        raise ValueError(f"Task returned {len(values)} objects, but num_returns={call.template.num_returns}.")
    with Collected(invoker, call) as collected:
        collected.add_all(values)
    collected.answer()


async def run_async(invoker: Invoker, call: Call, push: m.PushTask, items: Any) -> None:
    """As `run`, in an event loop."""
    if call.template.num_returns == STREAMING:
        with _producing(invoker, call, push) as producer:
            await producer.run_async(items)
        invoker.finish(call, [NONE], failed=False)
        return
    with Collected(invoker, call) as collected:
        if isinstance(items, AsyncIterator):
            async for item in items:
                if not collected.add(item):
                    break
        else:
            for item in items:
                if not collected.add(item):
                    break
    collected.answer()


@contextlib.contextmanager
def _producing(invoker: Invoker, call: Call, push: m.PushTask) -> Iterator[Producer]:
    """The producer of one call, which `GeneratorConsumed` finds while it runs."""
    producer = Producer(invoker, call, push)
    lock = invoker.core.lock
    with lock:
        invoker.producers.add(producer)
    try:
        yield producer
    finally:
        with lock:
            invoker.producers.remove(producer)


class Producers:
    """The streaming calls that run here, by task id. Methods are locked."""

    def __init__(self) -> None:
        self._running: dict[bytes, Producer] = {}
        self._ended: dict[bytes, Producer] = {}
        """With a limit of the whole actor: those that have ended, and whose consumers are behind."""

    def __repr__(self) -> str:
        return f"<Producers {list(self._running.values())}>"

    def add(self, producer: Producer) -> None:
        self._running[producer.call.task_id] = producer

    def remove(self, producer: Producer) -> None:
        self._running.pop(producer.call.task_id, None)
        if producer.call.template.actor_backpressure > 0 and producer.ahead > 0:
            self._ended[producer.call.task_id] = producer

    def stopped(self, task_id: bytes) -> Producer | None:
        """The call of that id, if it stands still until its consumer takes something."""
        producer = self._running.get(task_id)
        return producer if producer is not None and producer.is_stopped else None

    @property
    def ahead(self) -> int:
        """How many items of all streams have been made and not taken."""
        return sum(producer.ahead for producer in (*self._running.values(), *self._ended.values()))

    def consumed(self, message: m.GeneratorConsumed) -> None:
        """A consumer has taken items: a producer that waits for it may go on."""
        producer = self._running.get(message.task_id) or self._ended.get(message.task_id)
        if producer is None:
            return
        producer.consumed(message.count)
        if producer.call.template.actor_backpressure > 0:
            self._shared_room(producer)

    def _shared_room(self, producer: Producer) -> None:
        """Items of `producer` were taken: another stream of the actor may go on."""
        if producer.ahead <= 0:
            self._ended.pop(producer.call.task_id, None)
        for each in self._running.values():
            each.look_again()

    def cancelled(self, task_id: bytes) -> None:
        """A method that is not interrupted was cancelled: it need not wait for its consumer."""
        producer = self._running.get(task_id)
        if producer is not None:
            producer.consumed(_EVERYTHING)

    def connection_lost(self, connection: Connection) -> None:
        """The owner has gone: nobody will take anything, so nobody is waited for."""
        for producer in (*self._running.values(), *self._ended.values()):
            if producer.call.connection is connection:
                producer.consumed(_EVERYTHING)
                self._shared_room(producer)


class Producer:
    """One streaming call. It stops in its yield while the consumer is `backpressure` items behind."""

    def __init__(self, invoker: Invoker, call: Call, push: m.PushTask) -> None:
        assert call.connection is not None
        self.call = call
        self._connection = call.connection
        self._invoker = invoker
        self._core = invoker.core
        self._limit = call.template.backpressure
        self._held = push.items_held
        self._taken = push.items_taken
        self._unconfirmed = 0
        self._wake: list[Callable[[], None]] = []
        self._flushed_at_s = 0.0
        call.num_items = 0

    def __repr__(self) -> str:
        return f"<Producer {self.call.template.name} made={self.call.num_items} taken={self._taken}>"

    def consumed(self, count: int) -> None:
        """Locked."""
        self._taken = max(self._taken, count)
        self.look_again()

    @property
    def ahead(self) -> int:
        """How many items have been made and not taken."""
        return max(self.call.num_items - self._taken, 0)

    @property
    def is_stopped(self) -> bool:
        return bool(self._wake) and self._is_ahead()

    def run(self, items: Iterator[Any]) -> None:
        """Make all items, each sent at once; blocks while the consumer is too far behind."""
        for item in items:
            self._yielded(item)
            self._block_while(self._is_ahead)
            if self.call.is_canceled and self.call.template.method:  # not interrupted, but it need not go on either
                raise TaskCancelledError(self.call.task_id.hex())
        self._block_while(self._is_unconfirmed)

    async def run_async(self, items: Any) -> None:
        """The same in an event loop, which is never blocked."""
        if isinstance(items, AsyncIterator):
            async for item in items:
                self._yielded(item)
                await self._pause_while(self._is_ahead)
        else:
            for item in items:
                self._yielded(item)
                await self._pause_while(self._is_ahead)
        await self._pause_while(self._is_unconfirmed)

    # ---------------------------------------------------------- sending

    def _yielded(self, item: Any) -> None:
        wanted = self.call.template.items_per_yield
        if wanted == 1:
            self._send(item)
            return
        if not isinstance(item, (tuple, list)):
            raise ValueError(
                f"Streaming generator tasks with _num_objects_per_yield={wanted} must yield a tuple or list of "
                f"length {wanted}."
            )
        if len(item) != wanted:
            raise ValueError(
                f"Streaming generator task yielded {len(item)} objects, but _num_objects_per_yield={wanted}."
            )
        for part in item:
            self._send(part)

    def _send(self, item: Any) -> None:
        call, core = self.call, self._core
        index = call.num_items + 1
        if index <= self._held:  # the owner has it from an earlier run
            call.num_items = index
            return
        value = self._invoker.pack_value(call, index + 1, item)
        call.num_items = index
        message = m.GeneratorItem(call.task_id, index, value)
        with core.lock:
            if value.contained:
                self._send_confirmed(message)
            else:
                self._connection.send(message)
            now_s = time.monotonic()
            if now_s - self._flushed_at_s > FLUSH_S:
                self._flushed_at_s = now_s
                core.reactor.flush()
            else:
                core.reactor.soon_flushed()

    def _send_confirmed(self, message: m.GeneratorItem) -> None:
        """Refs are inside: the third processes that own some must know of the receiver before it gets the item."""
        receiver = self._connection.peer
        insiders = (self._core.worker_id, receiver.worker_id)
        parts = message.value.contained
        outside = [(p.object_id, p.owner, receiver) for p in parts if p.owner.worker_id not in insiders]
        self._unconfirmed += 1

        def confirmed() -> None:
            self._unconfirmed -= 1
            self._connection.send(message)
            self.look_again()

        self._invoker.after(outside, confirmed)

    # ---------------------------------------------------------- waiting

    def _is_ahead(self) -> bool:
        shared_limit = self.call.template.actor_backpressure
        if self._limit > 0 and self.ahead >= self._limit:
            return True
        if shared_limit <= 0:
            return False
        with self._core.lock:
            return self._invoker.producers.ahead >= shared_limit

    def _is_unconfirmed(self) -> bool:
        return self._unconfirmed > 0

    def look_again(self) -> None:
        """What this producer waits for may be there. Locked."""
        wake, self._wake = self._wake, []
        for each in wake:
            each()

    def _block_while(self, condition: Callable[[], bool]) -> None:
        while condition():
            with self._core.lock:
                if not condition():
                    return
                waiter = Waiter(self._core.reactor)
                self._wake.append(waiter.finish)
            self._core.values.block(waiter, None, lends_cpu=False)

    async def _pause_while(self, condition: Callable[[], bool]) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        while condition():
            event = asyncio.Event()
            with self._core.lock:
                if not condition():
                    return
                self._wake.append(partial(_set_from_outside, loop, event))
                self._core.reactor.soon_flushed()
            await event.wait()


def _set_from_outside(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(event.set)


class Collected:
    """The items of a generator whose results travel together, in the answer.

    With a fixed number of returns, what it made before it failed stays, and the error fills the rest. A dynamic one
    (`num_returns` negative) gives a generator of refs, which the caller owns, and then the items; an error is the last.
    """

    def __init__(self, invoker: Invoker, call: Call) -> None:
        self.error: Exception | None = None
        self._invoker = invoker
        self._call = call
        self._wanted = call.template.num_returns
        self._first = 1 if self._wanted >= 0 else 2
        self._values: list[m.Value] = []

    def __enter__(self) -> Collected:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> bool:
        """An error of user code is part of the answer. A cancelling is not: nobody will hear of the items."""
        if isinstance(error, Exception):
            self.error = error
            return True
        if error is not None and not isinstance(error, SystemExit):  # which ends the process
            for number, value in enumerate(self._values):
                self._invoker.unpack(self._call, self._key(number), value)
        return False

    def _key(self, number: int) -> bytes:
        return object_id(self._call.task_id, self._first + number)

    def add(self, item: Any) -> bool:
        """Pack one item. False: no more are wanted."""
        if self._wanted == 0:  # a task for its effects only: it runs to its end
            return True
        if len(self._values) == self._wanted:
            _log.error("A task returned more than num_returns=%d objects; the rest is dropped.", self._wanted)
            return False
        self._values.append(self._invoker.pack_value(self._call, self._first + len(self._values), item))
        return True

    def add_all(self, items: list[Any]) -> None:
        """Pack as many as are wanted."""
        values, pack_value, call = self._values, self._invoker.pack_value, self._call
        for index, item in enumerate(items, self._first):
            values.append(pack_value(call, index, item))

    def answer(self) -> None:
        count = len(self._values)
        if self.error is None and count < self._wanted:
            self.error = ValueError(f"Task returned {count} objects, but num_returns={self._wanted}.")
        failed = self.error is not None
        if self.error is not None:
            error = self._invoker.judge(self._call, self.error)
            self._values += [error] * (self._wanted - count if self._wanted >= 0 else 1)
        results = self._values if self._wanted >= 0 else [self._refs(), *self._values]
        self._invoker.finish(self._call, results, failed)

    def _refs(self) -> m.Value:
        call, core = self._call, self._invoker.core
        assert call.connection is not None
        keys = [self._key(number) for number in range(len(self._values))]
        refs = [core.refs.borrowed_ref(key, call.connection.peer) for key in keys]
        return self._invoker.pack_value(call, 1, DynamicObjectRefGenerator(refs))
