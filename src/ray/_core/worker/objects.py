"""The table of objects that this process owns or borrows, and the dealings between owner and borrowers.

Floor: worker. An object lives while its owner counts a local ref, a pending task or container that needs it, or a
borrower. A borrowed ref leans on whatever brought it (a task's arguments, a container) until its owner has
confirmed the borrower; so no interleaving of messages frees it early.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ray._core.common import messages as m
from ray._core.common.errors import ObjectLostError, OwnerDiedError
from ray._core.store import serialization
from ray._core.wire.reactor import Connection, Waiter

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker
    from ray._core.worker.lineage import Kept
    from ray._core.worker.object_ref import ObjectRef


def error_value(error: BaseException) -> m.Value:
    return m.Value(blob=serialization.serialize_error(error).to_blob(), is_error=True)


_NONE: Any = ()
"""An empty list that takes no memory; replaced, never changed."""


class Arrival(Protocol):
    """What waits for a value's arrival, such as a `Waiter`."""

    fails_fast: bool

    def arrived(self) -> None: ...

    def finish(self) -> None: ...


class Entry:
    """One object. `owner` None: owned here. `held` counts pending tasks and containers, `lent` names borrowers."""

    __slots__ = (
        "arrivals",
        "asked",
        "callbacks",
        "copies",
        "held",
        "here",
        "inner",
        "is_coming",
        "is_freed",
        "is_moved",
        "lent",
        "lineage",
        "local",
        "maker",
        "on_free",
        "owner",
        "problem",
        "registered",
        "seen",
        "value",
        "waiters",
    )

    def __init__(self, owner: m.Address | None) -> None:
        self.owner = owner
        self.local = 0
        self.held = 0
        self.lent: set[bytes] = set()
        self.value: m.Value | None = None
        self.inner: list[bytes] = []
        self.waiters: list[Waiter] = []
        """Who waits until the value is known, wherever it lies."""
        self.arrivals: list[Arrival] = _NONE
        """Who waits until the value can be read on this node."""
        self.copies: list[m.StoreLocation] = _NONE
        """Of an owned object: where it lies besides `value.location`."""
        self.here: m.StoreLocation | None = None
        """The copy on this node of a value that lies on another."""
        self.is_coming = False
        self.is_moved = False
        """`value.location` is on this node, and void: the object has been on disk since."""
        self.problem: Exception | None = None
        """Why the value could not be brought here, for the next who reads it."""
        self.lineage = 0
        """Kept tasks (see `Lineage`) that take this object: the entry stays, though the value may go."""
        self.maker: Kept | None = None
        """The task that can make the value again."""
        self.is_freed = False
        """Only the lineage keeps the entry, and the value was freed."""
        self.callbacks: list[Callable[[m.Value], None]] = []
        self.on_free: Callable[[], None] | None = None
        """Called once nobody needs the object any more (an actor then ends)."""
        self.asked = False
        self.seen = False
        """Somebody has looked at the value, or waited for it; kept for errors only (see unread_errors)."""
        self.registered = False
        """The owner counts this process among the borrowers."""


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
                self._core.fetch(key, entry)
                entry.callbacks.append(_Delivery(connection, key))

    def borrow_contained(self, container: ObjectRef[Any], contained: list[m.ContainedRef]) -> None:
        """Refs were unpickled out of a value: register with their owners; `container` is held until they confirm."""
        for part in contained:
            entry = self._core.objects.get(part.object_id)
            if entry is not None and entry.owner is not None and not entry.registered:
                entry.registered = True
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
        if entry.registered and entry.owner is not None:
            connection = self._core._peers.get(entry.owner.worker_id)
            if connection is not None:
                connection.send(m.RemoveBorrower([key], self._core.worker_id))

    def peer_gone(self, worker_id: bytes) -> None:
        """A core worker has ended: it borrows nothing any more, and what it owned is lost."""
        for key, entry in list(self._core.objects.items()):
            if worker_id in entry.lent:
                self._core.unlend(key, worker_id)
            elif entry.owner is not None and entry.owner.worker_id == worker_id and entry.value is None:
                self._core._fail(key, OwnerDiedError(key.hex(), detail="The process that owned it has ended."))
