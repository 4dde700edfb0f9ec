"""The table of objects that this process owns or borrows, and the dealings between owner and borrowers.

Floor: worker. An object lives while its owner counts a local ref, a pending task or container that needs it, or a
borrower. A borrowed ref leans on whatever brought it (a task's arguments, a container) until its owner has
confirmed the borrower; so no interleaving of messages frees it early.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ray._core.common import messages as m
from ray._core.common.errors import ObjectLostError, OwnerDiedError
from ray._core.store import serialization
from ray._core.wire.connection import Connection
from ray._core.wire.reactor import Waiter

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker
    from ray._core.worker.lineage import Kept
    from ray._core.worker.object_ref import ObjectRef


def error_value(error: BaseException) -> m.Value:
    return m.Value(blob=serialization.serialize_error(error).to_blob(), is_error=True)


NONE: Any = ()
"""An empty list that takes no memory; replaced, never changed."""


class Arrival(Protocol):
    """What waits for a value's arrival, such as a `Waiter`."""

    fails_fast: bool

    def arrived(self, count: int = 1) -> None: ...

    def finish(self) -> None: ...


class _Rarely:
    """What few entries need is no slot but a default of the class, and lies in the instance's dict where it differs:
    so an entry takes 2 µs and 250 bytes less than with a slot for each."""

    lent: dict[bytes, int] | None = None
    """How often each borrower was counted; only `Lending` changes it."""
    inner: list[bytes] = NONE
    """Objects that the value contains."""
    inside: dict[bytes, ObjectRef[Any]] | None = None
    """The refs to these that `get` has found in the value: made by the first, and given to each that follows."""
    waiters: list[Waiter] = NONE
    """Who waits until the value is known, wherever it lies."""
    copies: list[m.StoreLocation] = NONE
    """Of an owned object: where it lies besides `value.location`."""
    here: m.StoreLocation | None = None
    """The copy on this node of a value that lies on another."""
    is_coming = False
    is_moved = False
    """`value.location` is on this node, and void: the object has been on disk since."""
    problem: Exception | None = None
    """Why the value could not be brought here, for the next who reads it."""
    lineage = 0
    """Kept tasks (see `Lineage`) that take this object: the entry stays, though the value may go."""
    maker: Kept | None = None
    """The task that can make the value again."""
    is_freed = False
    """Only the lineage keeps the entry, and the value was freed."""
    on_free: Callable[[], None] | None = None
    """Called once nobody needs the object any more (an actor then ends)."""
    asked = False
    seen = False
    """Somebody has looked at the value, or waited for it; kept for errors only (see unread_errors)."""
    registered = 0
    """How often the owner has counted this process among the borrowers."""


class Entry(_Rarely, msgspec.Struct, dict=True, eq=False):
    """One object. There may be millions, most of them plain. Being a Struct, it is made in half the time (0.1 µs), and
    the collector looks at few."""

    owner: m.Address | None
    """None: owned here."""
    local: int = 0
    """Refs to it in this process."""
    held: int = 0
    """Pending tasks, and containers, that need it."""
    value: m.Value | None = None
    arrivals: list[Arrival] = NONE
    """Who waits until the value can be read on this node."""
    callbacks: list[Callable[[m.Value], None]] = NONE
    urgency: int = m.PULL_FOR_TASK
    """What a copy is wanted for on this node: the most urgent since the last one came."""

    def __repr__(self) -> str:
        return f"<Entry local={self.local} held={self.held} {'waits' if self.value is None else 'has its value'}>"

    def add_waiter(self, waiter: Waiter) -> None:
        if self.waiters:
            self.waiters.append(waiter)
        else:
            self.waiters = [waiter]

    def add_callback(self, callback: Callable[[m.Value], None]) -> None:
        """Call it once with the value, when that is known."""
        if self.callbacks:
            self.callbacks.append(callback)
        else:
            self.callbacks = [callback]


class _Delivery:
    """Sends an object's value to a borrower once it is there."""

    __slots__ = ("_connection", "_key")

    def __init__(self, connection: Connection, key: bytes) -> None:
        self._connection, self._key = connection, key

    def __call__(self, value: m.Value) -> None:
        self._connection.send(m.ObjectValues([self._key], [value]))


class _Holding:
    """Keeps a container's ref until the owner of what was inside has confirmed; then it goes with this object."""

    __slots__ = ("_container",)

    def __init__(self, container: ObjectRef[Any]) -> None:
        self._container = container

    def __call__(self) -> None:
        del self._container


class Lending:
    """Both sides of borrowing. All methods are locked."""

    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self._unregistered: dict[bytes, Entry] = {}
        """Borrowed objects whose owners do not know of it."""
        self._lent_to: dict[bytes, set[bytes]] = {}
        self._borrowed_from: dict[bytes, set[bytes]] = {}
        self._returned: dict[bytes, tuple[m.Address, list[bytes], list[int]]] | None = None
        """What `collecting` has gathered for each owner; None outside of it."""

    def __repr__(self) -> str:
        return f"<Lending to {len(self._lent_to)} processes, from {len(self._borrowed_from)}>"

    # ---------------------------------------------------------- as the owner

    def lend(self, key: bytes, borrower_id: bytes) -> None:
        """The borrower holds the object, once more."""
        entry = self._core.objects.get(key)
        if entry is not None:
            if entry.lent is None:
                entry.lent = {}
            entry.lent[borrower_id] = entry.lent.get(borrower_id, 0) + 1
            if borrower_id not in self._lent_to:
                self._lent_to[borrower_id] = set()
                self._core.watch_node_of(borrower_id)
            self._lent_to[borrower_id].add(key)

    def register_borrower(self, connection: Connection, request: m.AddBorrower) -> None:
        """Count a borrower; one that another process speaks for is connected to, so that its end is heard of."""
        for key in request.object_ids:
            self.lend(key, request.borrower.worker_id)
        connection.reply(request, m.Done())
        if connection.peer.worker_id != request.borrower.worker_id:
            try:
                self._core.peer(request.borrower)
            except OSError:
                self.peer_gone(request.borrower.worker_id)

    def returned(self, message: m.RemoveBorrower) -> None:
        for key, count in zip(message.object_ids, message.counts, strict=True):
            self._unlend(key, message.borrower_id, count)

    def _unlend(self, key: bytes, borrower_id: bytes, count: int | None) -> None:
        """`count` None: whatever it holds."""
        entry = self._core.objects.get(key)
        if entry is None or not entry.lent or borrower_id not in entry.lent:
            return
        entry.lent[borrower_id] -= entry.lent[borrower_id] if count is None else count
        if entry.lent[borrower_id] > 0:
            return
        del entry.lent[borrower_id]
        keys = self._lent_to.get(borrower_id)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self._lent_to[borrower_id]
        self._core.refs.maybe_free(key, entry)

    def has_borrowers(self) -> bool:
        """Whether any process holds something of ours."""
        return bool(self._lent_to)

    def serve(self, connection: Connection, request: m.GetObjects) -> None:
        """A borrower wants values: answer now, or when they are there."""
        connection.reply(request, m.Done())
        for key in request.object_ids:
            entry = self._core.objects.get(key)
            if entry is None:
                lost = error_value(ObjectLostError(key.hex(), detail="Its owner has freed it."))
                connection.send(m.ObjectValues([key], [lost]))
            elif entry.value is not None:
                entry.seen = True
                connection.send(m.ObjectValues([key], [entry.value]))
            else:
                entry.add_callback(_Delivery(connection, key))  # before: the fetch may fail at once
                self._core.refs.fetch(key, entry)

    # ---------------------------------------------------------- as a borrower

    def borrow(self, key: bytes, owner: m.Address) -> Entry:
        """A new entry for an object of another process."""
        entry = self._core.objects[key] = self._unregistered[key] = Entry(owner)
        self._borrowed_from.setdefault(owner.worker_id, set()).add(key)
        return entry

    def registered(self, key: bytes, entry: Entry) -> None:
        """The owner counts this process, once more; or will have before anything else can happen to the object."""
        entry.registered += 1
        self._unregistered.pop(key, None)

    @property
    def has_unregistered(self) -> bool:
        return bool(self._unregistered)

    def take_unregistered(self) -> list[tuple[bytes, m.Address]]:
        """Borrowed objects whose owners must hear of it now, and the owners; they count as registered."""
        found = []
        for key, entry in self._unregistered.items():
            assert entry.owner is not None
            entry.registered += 1
            found.append((key, entry.owner))
        self._unregistered.clear()
        return found

    def borrow_contained(self, container: ObjectRef[Any], contained: tuple[m.ContainedRef, ...]) -> None:
        """Refs were unpickled out of a value: register with their owners; `container` is held until they confirm."""
        for part in contained:
            entry = self._core.objects.get(part.object_id)
            if entry is not None and entry.owner is not None and not entry.registered:
                self.registered(part.object_id, entry)
                self.register(part.object_id, entry.owner, self._core.address, _Holding(container))

    def register(self, key: bytes, owner: m.Address, borrower: m.Address, then: Callable[[], None]) -> None:
        """Tell `owner` of a borrower, and call `then` once it knows (or is gone, and the object with it)."""
        try:
            connection = self._core.peer(owner)
        except OSError:
            then()
            return
        connection.request(m.AddBorrower(object_ids=[key], borrower=borrower), lambda reply: then())

    def give_back(self, key: bytes, entry: Entry) -> None:
        """The last use of a borrowed object here is over."""
        assert entry.owner is not None
        owner = entry.owner
        self._unregistered.pop(key, None)
        keys = self._borrowed_from[owner.worker_id]
        keys.discard(key)
        if not keys:
            del self._borrowed_from[owner.worker_id]
        if not entry.registered:
            return
        if self._returned is None:
            self._send_back(owner, [key], [entry.registered])
        else:
            _, keys_back, counts = self._returned.setdefault(owner.worker_id, (owner, [], []))
            keys_back.append(key)
            counts.append(entry.registered)

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """What is given back meanwhile goes back at the end, in one message to each owner."""
        if self._returned is not None:  # inside of another
            yield
            return
        self._returned = {}
        try:
            yield
        finally:
            returned, self._returned = self._returned, None
            for owner, keys, counts in returned.values():
                self._send_back(owner, keys, counts)

    def _send_back(self, owner: m.Address, keys: list[bytes], counts: list[int]) -> None:
        try:
            self._core.peer(owner).send(m.RemoveBorrower(keys, self._core.worker_id, counts))
        except OSError:
            return  # the owner has ended

    # ---------------------------------------------------------- the end of the other

    def peer_gone(self, worker_id: bytes) -> None:
        """A core worker has ended: it borrows nothing any more, and what it owned is lost."""
        for key in list(self._lent_to.get(worker_id, ())):
            self._unlend(key, worker_id, None)
        for key in list(self._borrowed_from.get(worker_id, ())):
            entry = self._core.objects.get(key)  # None: freed by what the failure of another one has ended
            if entry is not None and entry.value is None:
                self._core.refs.fail(key, OwnerDiedError(key.hex(), detail="The process that owned it has ended."))
