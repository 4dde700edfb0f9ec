"""Who still needs each object that this process knows, and who waits for its value.

Floor: worker, shell. `CoreWorker.objects` has the entries; refs of this process are counted here, those of others by
`Lending`. A ref that user code drops only goes into a deque (`released`), and is counted later (`drain`). Methods are
locked unless they say so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common.errors import ObjectLostError, OwnerDiedError
from ray._core.common.ids import TaskID
from ray._core.worker.object_ref import ObjectRef
from ray._core.worker.objects import NONE as _NONE
from ray._core.worker.objects import Arrival, Entry, error_value

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker

FEW = 4
"""Dropped refs that are not worth a collection of what is given back to their owners."""
IDLE_DRAIN_S = 0.1
"""A process that does nothing counts dropped refs this often: dropping one must not cost a system call."""


class References:
    """`released`: ids of refs that were dropped, which any thread may append to at any moment."""

    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self._objects = core.objects
        self.released: deque[bytes] = deque()
        self._drains = False
        self._told: deque[tuple[Callable[[m.Value], None], m.Value]] = deque()
        self._is_telling = False

    # ---------------------------------------------------------- counting

    def new_ref(self, key: bytes, owner: m.Address | None = None) -> ObjectRef[Any]:
        """A counted ref to an object in the table. Locked."""
        self._objects[key].local += 1
        if not self._drains:
            self._drain_later()
        return ObjectRef(key, owner, self.released)

    def new_refs(self, keys: Iterable[bytes]) -> list[ObjectRef[Any]]:
        """Counted refs to objects that are to come, with their entries. Locked."""
        objects, released = self._objects, self.released
        refs: list[ObjectRef[Any]] = []
        for key in keys:
            objects[key] = Entry(None, 1)
            refs.append(ObjectRef(key, None, released))
        if not self._drains:
            self._drain_later()
        return refs

    def _drain_later(self) -> None:
        self._drains = True
        self._core.reactor.call_later(IDLE_DRAIN_S, self._drain_idle)

    def _drain_idle(self) -> None:
        """While there are objects: nothing else may happen in this process that would count dropped refs."""
        self.drain()
        self._drains = False
        if self._objects:
            self._drain_later()

    def count_by_hand(self, ref: ObjectRef[Any]) -> None:
        """A ref was made from an id: it keeps the object when that is in the table."""
        with self._core.lock:
            entry = self._objects.get(ref.binary())
            if entry is not None:
                entry.local += 1
                if not self._drains:
                    self._drain_later()
                ref._owner, ref._released = entry.owner, self.released

    def borrowed_ref(self, key: bytes, owner: m.Address) -> ObjectRef[Any]:
        """A ref that came inside a value: counted here, and kept alive by its owner (see `Lending`)."""
        core = self._core
        with core.lock:
            mine = owner.worker_id == core.worker_id
            entry = self._objects.get(key)
            if entry is None:
                if mine:
                    entry = self._objects[key] = Entry(None)
                    self.fail(key, ObjectLostError(key.hex(), detail="It was freed before this ref to it arrived."))
                else:
                    entry = core.lending.borrow(key, owner)
            entry.local += 1
            if not self._drains:
                self._drain_later()
            return ObjectRef(key, None if mine else owner, self.released)

    def known_refs(self, keys: Iterable[bytes]) -> dict[bytes, ObjectRef[Any]] | None:
        """Refs to objects in the table, all at once: a third of what `borrowed_ref` takes. None: one is not there."""
        objects, released = self._objects, self.released
        refs: dict[bytes, ObjectRef[Any]] = {}
        with self._core.lock:
            try:
                for key in keys:
                    entry = objects[key]
                    entry.local += 1
                    refs[key] = ObjectRef(key, entry.owner, released)
            except KeyError:
                return None  # those that were made are dropped, and so counted down again
            if not self._drains:
                self._drain_later()
        return refs

    def pin(self, ref: ObjectRef[Any]) -> None:
        """Keep the object for the life of this process."""
        with self._core.lock:
            self._objects[ref.binary()].local += 1

    def hold(self, key: bytes, count: int = 1) -> None:
        """A pending task (or a container) needs the object; `count` -1 lets it go."""
        entry = self._objects.get(key)
        if entry is not None:
            entry.held += count
            if count < 0:
                self.maybe_free(key, entry)

    def hold_all(self, refs: list[ObjectRef[Any]]) -> None:
        """A pending task needs these objects."""
        objects = self._objects
        for ref in refs:
            entry = objects.get(ref._id)
            if entry is not None:
                entry.held += 1

    def let_go_all(self, refs: list[ObjectRef[Any]]) -> None:
        """It needs them no more."""
        objects = self._objects
        for ref in refs:
            entry = objects.get(ref._id)
            if entry is not None:
                entry.held -= 1
                if not entry.held and not entry.local:
                    self.maybe_free(ref._id, entry)

    def drain(self) -> None:
        """Count refs that user code has dropped since the last call."""
        released = self.released
        if not released:
            return
        if len(released) <= FEW:  # as in a loop of calls: collecting would cost more than it saves (1.5 µs of 6 a put)
            self._count_released(released)
            return
        with self._core.lending.collecting():
            self._count_released(released)

    def _count_released(self, released: deque[bytes]) -> None:
        while released:
            key = released.popleft()
            entry = self._objects.get(key)
            if entry is not None:
                entry.local -= 1
                if not (entry.local or entry.held or entry.lent):
                    self._free(key, entry)
            elif len(key) == TaskID.SIZE:
                self._core.streams.drop(key)

    def maybe_free(self, key: bytes, entry: Entry) -> None:
        if not (entry.local or entry.held or entry.lent):
            self._free(key, entry)

    def _free(self, key: bytes, entry: Entry) -> None:
        """Nobody needs the object."""
        core, value = self._core, entry.value
        if entry.lineage:  # a task that may have to run again takes it
            if entry.owner is None and value is not None and value.location is not None:
                core.remote.free(key, entry)
                entry.value, entry.copies, entry.here, entry.is_freed = None, [], None, True
                contained, entry.inner, entry.inside = entry.inner, [], None
                for each in contained:
                    self.hold(each, -1)
            return
        del self._objects[key]
        if entry.on_free is not None:
            entry.on_free()
        if entry.maker is not None:
            core.lineage.gone(key, entry.maker)
        if entry.owner is not None:
            core.lending.give_back(key, entry)
        elif (value is not None and value.location is not None) or key in core.strays.at_objects:
            core.remote.forget(key, entry)
        elif value is not None and value.is_error and not entry.seen:
            core.unread_errors.report(value)
        if entry.inside is not None:
            entry.inside = None  # at once, so that a drain that is under way counts them
        for inner in entry.inner:
            self.hold(inner, -1)

    # ---------------------------------------------------------- values come

    def resolve(self, key: bytes, value: m.Value) -> None:
        """An object's value is known: store it and tell everybody who waits for it."""
        core = self._core
        entry = self._objects.get(key)
        if entry is None:  # nobody wants it any more
            if value.location is not None:
                core.remote.free_at(value.location, key, for_good=True)
            elif value.is_error:
                core.unread_errors.report(value)
            return
        entry.value = value
        if entry.waiters or entry.callbacks or entry.arrivals:
            self._announce(key, entry, value)

    def _announce(self, key: bytes, entry: Entry, value: m.Value) -> None:
        """Tell those who wait for a value that it is known, and those who wait until it is here once it is."""
        core = self._core
        if value.is_error:
            entry.seen = True
        waiters: Sequence[Arrival] = ()
        if entry.waiters:
            waiters, entry.waiters = entry.waiters, _NONE
        if entry.arrivals:
            if value.location is None or core.remote.is_here(entry):
                waiters = [*waiters, *entry.arrivals] if waiters else entry.arrivals
                entry.arrivals = _NONE
            else:
                core.remote.bring(key, entry)
        for waiter in waiters:
            if value.is_error and waiter.fails_fast:
                waiter.finish()
            else:
                waiter.arrived()
        if entry.callbacks:
            callbacks, entry.callbacks = entry.callbacks, []
            self._told.extend((callback, value) for callback in callbacks)
            if not self._is_telling:
                self._tell()

    def _tell(self) -> None:
        """Call who waits for values. What a callback resolves is told after it has returned, not inside of it: an
        error goes down a chain of dependent tasks of any length."""
        self._is_telling = True
        try:
            while self._told:
                callback, value = self._told.popleft()
                callback(value)
        finally:
            self._is_telling = False

    def accept(self, key: bytes, value: m.Value) -> None:
        """A result has come from its executor: as `resolve`, and the refs inside it live as long as it does.

        Whoever sent it has told the owners of those refs that this process borrows them.
        """
        core = self._core
        entry = self._objects.get(key)
        for part in value.contained:
            inner = self._objects.get(part.object_id)
            if inner is None and part.owner.worker_id != core.worker_id:
                inner = core.lending.borrow(part.object_id, part.owner)
            if inner is not None and inner.owner is not None:
                core.lending.registered(part.object_id, inner)
            if inner is not None and entry is None:
                self.maybe_free(part.object_id, inner)
        if entry is not None and value.contained:
            self.contain(entry, [part.object_id for part in value.contained])
        self.resolve(key, value)

    def accept_all(self, keys: Iterable[bytes], values: Iterable[m.Value]) -> None:
        """`accept` for each. What most are, small and waited for by `ray.get` at most, is stored here, and who waits
        for several is told once: 45 instead of 115 bytecodes each."""
        objects = self._objects
        waiting: Sequence[Arrival] = _NONE
        count = 0
        for key, value in zip(keys, values, strict=True):
            entry = objects.get(key)
            if (
                entry is None
                or value.blob is None
                or value.is_error
                or value.contained
                or entry.callbacks
                or entry.waiters
            ):
                self.accept(key, value)
                continue
            entry.value = value
            arrivals = entry.arrivals
            if arrivals is not waiting:
                _tell_arrived(waiting, count)
                waiting, count = arrivals, 0
            count += 1
            entry.arrivals = _NONE
        _tell_arrived(waiting, count)

    def decline(self, value: m.Value) -> None:
        """A result that is not needed: give back the refs inside, which this process was said to borrow."""
        core = self._core
        for part in value.contained:
            inner = self._objects.get(part.object_id)
            if inner is None and part.owner.worker_id != core.worker_id:
                inner = core.lending.borrow(part.object_id, part.owner)
            if inner is not None and inner.owner is not None:
                core.lending.registered(part.object_id, inner)
                self.maybe_free(part.object_id, inner)

    def drop(self, key: bytes, value: m.Value) -> None:
        """A result that nobody is to have, though the object may be in the table: its task was given up before."""
        self.decline(value)
        if value.location is not None:
            self._core.remote.free_at(value.location, key)

    def contain(self, entry: Entry, keys: list[bytes]) -> None:
        """The value of `entry` has these refs inside: they live as long as it does. Locked.

        One of ours that is freed already cannot be held, so it must not be let go either.
        """
        entry.inner, entry.inside = [key for key in keys if key in self._objects], None
        for key in entry.inner:
            self.hold(key)

    def fail(self, key: bytes, error: BaseException) -> None:
        self.resolve(key, error_value(error))

    def fetch(self, key: bytes, entry: Entry) -> None:
        """Ask a borrowed object's owner for its value, once."""
        if entry.owner is None or entry.asked:
            return
        entry.asked = True
        try:
            connection = self._core.peer(entry.owner)
        except OSError:
            self.fail(key, OwnerDiedError(key.hex(), detail="The process that owned it has ended."))
            return
        connection.request(m.GetObjects(object_ids=[key]), lambda reply: self._fetched(key, reply))

    def _fetched(self, key: bytes, reply: Any) -> None:
        if isinstance(reply, m.Failed):
            self.fail(key, OwnerDiedError(key.hex(), detail="The process that owned it has ended."))


def _tell_arrived(waiting: Sequence[Arrival], count: int) -> None:
    """So many things that all of these wait for are there."""
    for each in waiting:
        each.arrived(count)
