"""Values of objects: put and written, got and waited for, in this process and its node's shared memory.

Floor: worker, shell. The core worker knows which objects there are and who needs them; this moves their bytes, and
blocks the threads that want them. Methods are not locked unless they say so.
"""

from __future__ import annotations

import contextlib
import contextvars
import errno
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common import object_header
from ray._core.common.errors import (
    GetTimeoutError,
    LocalRayletDiedError,
    ObjectStoreFullError,
    RaySystemError,
    RayTaskError,
)
from ray._core.common.ids import NO_ACTOR_PREFIX, object_id
from ray._core.common.object_header import HEADER_SIZE
from ray._core.store import serialization
from ray._core.store.arena import Arena, SlabAllocator
from ray._core.store.views import Views
from ray._core.wire.reactor import Waiter
from ray._core.worker.deliveries import Deliveries
from ray._core.worker.invocation import Call
from ray._core.worker.object_ref import RESTORE, ObjectRef
from ray._core.worker.objects import Arrival, Entry
from ray._core.worker.ref_generator import ObjectRefGenerator
from ray._core.worker.streams import OpenStream

if TYPE_CHECKING:
    import asyncio

    from ray._core.worker.core import CoreWorker

logger = logging.getLogger("ray._private.worker")
WARN_BLOCKING = "RAY_WARN_BLOCKING_GET_INSIDE_ASYNC"
"""Variable; "0": no word of a `get` that blocks the loop of an asyncio actor."""
BRINGING_S = 0.5
"""How often a task that waits for an argument looks whether that is lost, and must be made again."""

MANY_REFS_BYTES = 1024
"""In fewer there are too few refs for making them at once."""
FEW_READY = 4
"""So many are taken out of a list faster than the others are copied one by one."""


class _Delivery:
    """Calls back when a value has arrived; see `objects.Arrival`. `call`: whose code waits for it."""

    __slots__ = ("_callback", "call", "fails_fast")

    def __init__(self, callback: Callable[[], None], call: Call | None) -> None:
        self._callback = callback
        self.call = call
        self.fails_fast = False

    def arrived(self, count: int = 1) -> None:
        self._callback()

    finish = arrived


class Values:
    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self._puts = 0
        self._has_warned = False
        self._views = Views()
        self._deliveries = Deliveries()
        self._blocked: dict[Waiter, Call | None] = {}
        """Waits of this worker that block a thread, and whose they are."""
        self._arena: Arena
        self._slabs: SlabAllocator

    def attach(self, node: m.WorkerRegistered) -> None:
        """From now on there is shared memory: that of the node with which this process has registered."""
        self._arena = Arena(node.node.arena_path, node.arena_size, node.overflow_path, node.overflow_size)
        self._views.attach(self._arena)
        self._slabs = SlabAllocator(self._core.config.slab_size)

    def keep(self) -> None:
        """Copy what the user still has of the shared memory, which others will use for something else."""
        self._views.keep()

    def stop(self) -> None:
        """Futures that are fulfilled by now still tell; the arena stays until `close`."""
        self._deliveries.stop()

    def close(self) -> None:
        self._arena.close()

    # ---------------------------------------------------------- writing

    def put(self, value: Any) -> ObjectRef[Any]:
        return self.put_serialized(serialization.serialize(value))

    def put_serialized(self, serialized: serialization.Serialized) -> ObjectRef[Any]:
        core = self._core
        self._puts += 1
        key = object_id(core.new_task_id(NO_ACTOR_PREFIX + core.job_id), 0x80000000 | (self._puts & 0x7FFFFFFF))
        value = self.write(key, serialized)
        with core.lock:
            core.refs.drain()
            core.objects[key] = entry = Entry(None)
            entry.value = value
            if serialized.refs:
                core.refs.contain(entry, [ref.binary() for ref in serialized.refs])
            return core.refs.new_ref(key)

    def write(
        self, key: bytes, serialized: serialization.Serialized, owner: m.Address | None = None, attempt: int = 0
    ) -> m.Value:
        """Put bytes where they belong: inline, or into the arena. Not locked.

        Args:
            owner: whose object it is; None: of this process.
            attempt: of the task whose result it is.
        Raises:
            ObjectStoreFullError: the node has no room.
            LocalRayletDiedError, RaySystemError: the raylet has ended, or did not understand.
        """
        core = self._core
        size = serialized.size
        if size <= core.config.max_direct_call_object_size:
            return m.Value(blob=serialized.to_blob(), is_error=serialized.is_error)
        room = size + HEADER_SIZE
        with core.lock:
            core.refs.drain()
            core.reactor.flush()
            start = self._slabs.allocate(room)
        if start is None:
            slab_size, for_one = self._slabs.slab_for(room)
            granted = core.ask(core.raylet, m.AllocateSlab(size=slab_size, for_one=for_one))
            if isinstance(granted, m.Failed):
                raise _no_room(size, granted)
            if granted.is_new:
                self._arena.first_writes.renewed(granted.offset, granted.size)
            else:
                self._arena.first_writes.used(granted.offset, granted.size)
            with core.lock:
                start = self._slabs.add_slab(granted.offset, granted.size, room, for_one)
        offset = start + HEADER_SIZE
        try:
            self._arena.clear(start, HEADER_SIZE)  # else the header vouches for what lay here before
            copy = self._arena.first_writes.copy
            serialized.write_into(self._arena.window(offset, size), lambda start, data: copy(offset + start, data))
        except BaseException as error:  # bytes that were to come from elsewhere did not
            with core.lock:
                self.free_space(offset)
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                text = f"An object of {size} bytes could not be stored: the file system of the shared memory is full."
                raise ObjectStoreFullError(text) from error
            raise
        object_header.write(self._arena.window(start, HEADER_SIZE), key)
        holder = owner or core.address
        with core.lock:
            core.raylet.send(m.ObjectsSealed([(key, offset, size)], holder.worker_id, holder.node_id, attempt))
            self._slabs.sealed(start)
            if owner is not None:  # else it could hear of the object and this process end, before the raylet knows
                core.raylet.flush()
        where = m.StoreLocation(core.node.node_id, offset, size, attempt)
        return m.Value(location=where, is_error=serialized.is_error)

    def free_space(self, offset: int) -> None:
        """What was written there is not needed any more. Locked."""
        empty = self._slabs.free(offset - HEADER_SIZE)
        if empty is not None:
            self._core.raylet.send(m.ReleaseSlab(empty))

    def viewed(self, keys: list[bytes]) -> list[bytes]:
        """Which of these objects are being read in this process. Locked."""
        return self._views.viewed(keys)

    # ---------------------------------------------------------- reading

    def load(self, ref: ObjectRef[Any], value: m.Value) -> Any:
        """Deserialize, once it is on this node; an error value is raised. Views of the arena hold `ref`. Not locked."""
        core = self._core
        where = value.location
        data: bytes | memoryview | None = value.blob
        while data is None:
            if where is None or where.node_id != core.node.node_id:
                value, where = self._brought(ref)
                data = value.blob
                continue
            data = self._views.open(ref, where)
            if data is None:
                with core.lock:
                    core.remote.moved(core.objects[ref.binary()], where)
                where = None
        instead = self._refs_inside(ref, value) if len(data) > MANY_REFS_BYTES else None
        result = serialization.deserialize(data, instead)
        if value.contained and core.lending.has_unregistered:
            with core.lock:
                core.lending.borrow_contained(ref, value.contained)
                core.reactor.flush()
        if isinstance(result, serialization.ErrorValue):
            self._mark_seen([ref])
            error = result.error
            try:
                raise error.as_instanceof_cause() if isinstance(error, RayTaskError) else error
            finally:
                del result, error  # else error, traceback and this frame were a cycle, with all that callers hold
        return result

    def _refs_inside(self, ref: ObjectRef[Any], value: m.Value) -> serialization.Names | None:
        """The refs in a value, made at once: unpickling then finds each by its id, without a call in Python.

        Those in a value that holds what is inside it are made once, and go with it: a third of what 10,000 refs take.
        """
        entry, known_refs = self._core.objects.get(ref._id), self._core.refs.known_refs
        refs = None
        if entry is not None and entry.inner and len(entry.inner) >= len(value.contained):  # else some are freed
            refs = entry.inside
            if refs is None:
                refs = entry.inside = known_refs(entry.inner)
        elif value.contained:
            refs = known_refs([part.object_id for part in value.contained])
        return None if refs is None else {RESTORE: refs.get}

    def _brought(self, ref: ObjectRef[Any]) -> tuple[m.Value, m.StoreLocation | None]:
        """The value once it can be read on this node, and where it lies here.

        A task that waits for its arguments keeps its CPU, since another one in its place would only want more memory;
        but not when the argument is being made again, for which somebody may need that CPU.
        """
        core = self._core
        entry = core.objects[ref.binary()]
        while True:
            with core.lock:  # it may be lost at any moment
                if core.remote.is_here(entry):
                    problem, entry.problem = entry.problem, None
                    if problem is not None:
                        raise problem
                    assert entry.value is not None
                    return entry.value, entry.here or entry.value.location
            self._await([ref], 1, BRINGING_S, lends_cpu=entry.value is None, urgency=m.PULL_FOR_TASK)

    def _mark_seen(self, refs: list[ObjectRef[Any]]) -> None:
        """Their errors, if they are any, are known to the user."""
        for ref in refs:
            entry = self._core.objects.get(ref.binary())
            if entry is not None:
                entry.seen = True

    # ---------------------------------------------------------- waiting

    def get(self, refs: list[ObjectRef[Any]], timeout_s: float | None) -> list[Any]:
        """Values in order. One that failed is raised, even while others are not ready. Raises GetTimeoutError."""
        ends_at_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._await_all(refs, timeout_s, ends_at_s)
        objects, is_here, found = self._core.objects, self._core.remote.is_here, []
        for ref in refs:
            entry = objects[ref._id]
            value = entry.value
            if value is not None and (blob := value.blob):
                # What is small and plain needs no more of `load` than this: a quarter of what a get of many takes.
                kind = blob[0]
                if kind == serialization.PICKLE and len(blob) <= MANY_REFS_BYTES and not value.contained:
                    found.append(serialization.deserialize_plain(blob))
                    continue
                if kind == serialization.RAW:
                    found.append(blob[1:])
                    continue
            while not is_here(entry):  # lost while others came
                self._await_all([ref], timeout_s, ends_at_s)
            assert entry.value is not None
            found.append(self.load(ref, entry.value))
        return found

    def _await_all(self, refs: list[ObjectRef[Any]], timeout_s: float | None, ends_at_s: float | None) -> None:
        """Wait until all can be read on this node. Raises the error of one that failed; GetTimeoutError."""
        objects, is_here = self._core.objects, self._core.remote.is_here
        left_s = None if ends_at_s is None else max(ends_at_s - time.monotonic(), 0.0)
        while not self._await(refs, len(refs), left_s, fails_fast=True):
            values = [entry.value if is_here(entry := objects[ref._id]) else None for ref in refs]
            for ref, value in zip(refs, values, strict=True):
                if value is not None and value.is_error:
                    self.load(ref, value)
            if ends_at_s is not None:
                left_s = max(ends_at_s - time.monotonic(), 0.0)
                missing = sum(value is None for value in values)
                if missing and not left_s:
                    text = f"{missing} of {len(refs)} were not within {timeout_s} s."
                    raise GetTimeoutError(f"Get timed out: some object(s) not ready. {text}")

    def wait(
        self, refs: list[Any], num_returns: int, timeout_s: float | None, fetch_local: bool = True
    ) -> tuple[list[Any], list[Any]]:
        """Refs and generators; a generator is ready when its next item is, or at its end.

        `fetch_local`: values are brought to this node, and are ready only then.
        """
        core = self._core
        with core.lock:
            core.refs.drain()
            found = self._first_ready(refs, num_returns, fetch_local)
        left_s = timeout_s
        ends_at_s = 0.0 if timeout_s is None else time.monotonic() + timeout_s
        while len(found) < num_returns:
            self._await(refs, num_returns, left_s, fetch_local=fetch_local, urgency=m.PULL_FOR_WAIT)
            with core.lock:
                found = self._first_ready(refs, num_returns, fetch_local)
            if timeout_s is not None:
                left_s = ends_at_s - time.monotonic()
                if left_s <= 0:
                    break
        ready = [refs[number] for number in found]
        if len(found) <= FEW_READY:
            rest = refs.copy()
            for number in reversed(found):
                del rest[number]
        else:
            chosen = set(found)
            rest = [ref for number, ref in enumerate(refs) if number not in chosen]
        return ready, rest

    def _first_ready(self, refs: list[Any], most: int, fetch_local: bool) -> list[int]:
        """The places in `refs` of up to `most` that are ready; their errors count as seen. Looks no further. Locked."""
        objects, is_here = self._core.objects, self._core.remote.is_here
        found: list[int] = []
        for number, ref in enumerate(refs):
            if type(ref) is ObjectRefGenerator:
                if not ref._stream.is_ready:
                    continue
            else:
                entry = objects.get(ref._id)
                if entry is None:
                    raise RaySystemError(f"{ref!r} is of a session that has ended.")
                if not (is_here(entry) if fetch_local else entry.value is not None):
                    continue
                value = entry.value
                if value is not None and value.is_error:
                    entry.seen = True
            found.append(number)
            if len(found) == most:
                break
        return found

    def _await(
        self,
        refs: list[Any],
        count: int,
        timeout_s: float | None,
        fails_fast: bool = False,
        fetch_local: bool = True,
        lends_cpu: bool = True,
        urgency: int = m.PULL_FOR_GET,
    ) -> bool:
        """Wait until `count` of `refs` are ready (or one has failed, with `fails_fast`), or the time is over.

        Returns whether so many are ready.
        """
        core = self._core
        objects = core.objects
        pending: list[Entry] = []
        streams: list[OpenStream] = []
        has_failed = False
        with core.lock:
            core.refs.drain()
            for ref in refs:
                if type(ref) is ObjectRefGenerator:
                    if not ref._stream.is_ready:
                        streams.append(ref._stream)
                    continue
                key = ref._id
                entry = objects.get(key)
                if entry is None:
                    raise RaySystemError(f"{ref!r} is of a session that has ended.")
                value = entry.value
                if value is None:
                    if urgency < entry.urgency:
                        entry.urgency = urgency
                    if entry.owner is not None:
                        core.refs.fetch(key, entry)
                        value = entry.value
                    if value is None:  # else its owner is known to be dead: nobody would end a wait for it
                        pending.append(entry)
                        continue
                if fetch_local and value.location is not None and not core.remote.is_here(entry):
                    core.remote.bring(key, entry, urgency)
                    if not core.remote.is_here(entry):
                        pending.append(entry)
                        continue
                    value = entry.value
                has_failed = has_failed or (value is not None and value.is_error)
            missing = len(pending) + len(streams)
            needed = count - (len(refs) - missing)
            if needed <= 0 or (fails_fast and has_failed):
                return needed <= 0
            waiter = Waiter(core.reactor, needed, fails_fast)
            alone: list[Arrival] = [waiter]  # one for all, since nobody changes such a list
            for entry in pending:
                if not fetch_local:
                    entry.add_waiter(waiter)
                else:
                    entry.arrivals = [*entry.arrivals, waiter] if entry.arrivals else alone
            for stream in streams:
                stream.add_waiter(waiter)
        try:
            self.block(waiter, timeout_s, lends_cpu, refs)
        finally:
            if waiter.remaining > 0 or needed < missing:  # else all have come, and nobody has it any more
                with core.lock:
                    _forget(waiter, [*pending, *streams])
        return waiter.remaining <= 0

    def block(self, waiter: Waiter, timeout_s: float | None, lends_cpu: bool = True, about: Sequence[Any] = ()) -> None:
        """Wait; a task that waits longer than the grace lends its CPU and hands back what it has not started.

        Args:
            about: what is waited for, which a driver is told of when it takes long (see `explain`).
        """
        core = self._core
        if core.executor is None:
            core.explainer.wait(waiter, timeout_s, about)
            return
        self._blocked[waiter] = core.current
        try:
            if not core.executor.is_running_here():
                if not self._has_warned and core.reactor.leads_in_loop():
                    self._has_warned = True
                    _warn_of_blocking()
                core.reactor.wait(waiter, timeout_s)
                return
            with core.executor.interrupts.waiting_for(waiter):
                self._block_task(waiter, timeout_s, lends_cpu)
        finally:
            del self._blocked[waiter]

    def blocked_in(self) -> dict[Call, str]:
        """Calls that wait in `get` or `wait`, which the state's name tells."""
        waiting = list(self._blocked.items())
        return {
            call: "RUNNING_IN_RAY_GET" if waiter.fails_fast else "RUNNING_IN_RAY_WAIT"
            for waiter, call in waiting
            if call is not None
        }

    def caller_of(self, arrival: Arrival) -> Call | None:
        """Which call of this worker waits by that; None: none does, or it is not known."""
        if isinstance(arrival, Waiter):
            return self._blocked.get(arrival)
        return arrival.call if isinstance(arrival, _Delivery) else None

    def _block_task(self, waiter: Waiter, timeout_s: float | None, lends_cpu: bool) -> None:
        core = self._core
        grace_s = core.config.blocked_grace_ms / 1000
        if timeout_s is not None and timeout_s <= grace_s:
            core.reactor.wait(waiter, timeout_s)
            return
        if core.reactor.wait(waiter, grace_s):
            return
        with core.lock:
            core.executor.hand_back()
            if lends_cpu:
                core.raylet.send(m.SetBlocked(True))
        try:
            core.reactor.wait(waiter, None if timeout_s is None else timeout_s - grace_s)
        finally:
            if lends_cpu:
                with core.lock:
                    core.raylet.send(m.SetBlocked(False))
                    core.reactor.flush()

    # ---------------------------------------------------------- futures

    def future(self, ref: ObjectRef[Any]) -> Future[Any]:
        future: Future[Any] = Future()

        def deliver() -> None:
            value = self._value_here(ref, lambda: self._deliveries.submit(deliver))
            if value is not None:  # else it is not yet, or was lost before it could be read
                self._settle(future, ref, value)

        deliver()
        return future

    def asyncio_future(self, ref: ObjectRef[Any], loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        """As `future`, for the thread that runs `loop`; what the value's pickle calls runs there, too."""
        future: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def deliver() -> None:
            if future.done():  # cancelled, that is
                return
            value = self._value_here(ref, arrived)
            if value is not None:
                self._settle(future, ref, value)

        def arrived() -> None:
            if self._core.reactor.is_hosted_here(loop):
                loop.call_soon(deliver, context=context)
                return
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits there any more
                loop.call_soon_threadsafe(deliver, context=context)

        if self._value_here(ref, arrived) is not None:
            loop.call_soon(deliver)
        return future

    def _settle(self, future: Future[Any] | asyncio.Future[Any], ref: ObjectRef[Any], value: m.Value) -> None:
        """Never with the lock held: unpickling runs the user's code, which may wait for other objects."""
        try:
            future.set_result(self.load(ref, value))
        except BaseException as error:
            future.set_exception(error)

    def _value_here(self, ref: ObjectRef[Any], arrived: Callable[[], None]) -> m.Value | None:
        """The value, if it can be read on this node; if not, the leader calls `arrived` (locked) when it can."""
        core = self._core
        with core.lock:
            entry = core.objects[ref.binary()]
            if core.remote.is_here(entry):
                return entry.value
            entry.arrivals = [*entry.arrivals, _Delivery(arrived, core.current)]
            if entry.value is None:
                entry.urgency = m.PULL_FOR_GET
                core.refs.fetch(ref.binary(), entry)
            else:
                core.remote.bring(ref.binary(), entry, m.PULL_FOR_GET)
            core.reactor.flush()
            return None


def _no_room(size: int, reply: m.Failed) -> Exception:
    """What came of asking the raylet for room. An older one, of the same version, may not know the request."""
    text = f"An object of {size} bytes could not be stored. {reply.message}"
    if reply.kind == "full":
        return ObjectStoreFullError(text)
    return LocalRayletDiedError() if reply.kind == "connection_lost" else RaySystemError(text)


def _forget(waiter: Waiter, slots: list[Entry | OpenStream]) -> None:
    """Nobody waits for these any more by `waiter`. Locked."""
    for slot in slots:
        if waiter in slot.waiters:
            slot.waiters.remove(waiter)
        elif isinstance(slot, Entry) and slot.arrivals:
            slot.arrivals = [other for other in slot.arrivals if other is not waiter]


def _warn_of_blocking() -> None:
    if os.environ.get(WARN_BLOCKING, "1") != "0":
        logger.warning(
            "Using blocking ray.get inside async actor. This blocks the event loop. Please use `await` on object "
            "ref with asyncio.gather if you want to yield execution to the event loop instead."
        )
