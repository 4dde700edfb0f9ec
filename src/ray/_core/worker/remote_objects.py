"""Objects whose value lies on another node: brought here, kept track of, found again when a copy is lost.

Floor: worker. All methods are locked. The owner knows where the copies are; whoever needs a value asks its raylet for
a copy, and the raylet tells the owner of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ray._core.common import messages as m
from ray._core.common.errors import LocalRayletDiedError, ObjectStoreFullError, RaySystemError
from ray._core.common.ids import object_id
from ray._core.worker.objects import Entry

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker


class RemoteObjects:
    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self._dead: set[bytes] = set()

    def node_died(self, node_id: bytes) -> None:
        self._dead.add(node_id)

    def check(self, key: bytes, entry: Entry) -> None:
        """An object of ours is wanted: if all its copies are on nodes that have died, it is to be made again."""
        while self._dead and entry.value is not None and entry.value.location is not None:
            if entry.value.location.node_id not in self._dead:
                return
            self._lost(key, entry, entry.value.location.node_id)

    # ---------------------------------------------------------- bringing a value here

    def is_here(self, entry: Entry) -> bool:
        """Whether the value can be read without waiting (or the error that stands in its place)."""
        value = entry.value
        if value is None:
            return False
        where = value.location
        if where is None or entry.here is not None or entry.problem is not None:
            return True
        return where.node_id == self._core.node.node_id and not entry.is_moved

    def moved(self, entry: Entry, where: m.StoreLocation) -> None:
        """There is nothing at `where` any more: the raylet has taken the object to disk. `bring` has it come back."""
        if entry.here == where:
            entry.here = None
        if entry.value is not None and entry.value.location == where:
            entry.is_moved = True

    def bring(self, key: bytes, entry: Entry, urgency: int = m.PULL_FOR_TASK) -> None:
        """Have the raylet pull a copy, once however many wait for it; `entry.arrivals` hear of its end.

        A copy that is on its way comes the sooner when somebody wants it more urgently.
        """
        value = entry.value
        if value is None or value.location is None:
            return
        if entry.is_coming:
            if urgency < entry.urgency:
                entry.urgency = urgency
                self._core.raylet.send(m.UrgePull(key, urgency))
            return
        entry.is_coming, entry.urgency = True, min(entry.urgency, urgency)
        places = [value.location, *entry.copies]
        owner = entry.owner or self._core.address
        request = m.PullObject(object_id=key, locations=places, owner=owner, priority=entry.urgency)
        self._core.watch_nodes()
        self._core.raylet.request(request, lambda reply: self._came(key, owner, places, reply))

    def _came(self, key: bytes, owner: m.Address, places: list[m.StoreLocation], reply: Any) -> None:
        entry = self._core.objects.get(key)
        if isinstance(reply, m.ObjectLocal):
            if entry is None:
                return  # the owner frees it: it has heard of the copy from the raylet
            if entry.value is None:  # counts as lost, and is made again: so nobody may rely on this copy
                entry.is_coming = False
            else:
                here = m.StoreLocation(self._core.node.node_id, reply.offset, reply.size)
                entry.here, entry.is_coming, entry.urgency = here, False, m.PULL_FOR_TASK
                self.arrived(entry)
            return
        if entry is None:
            return
        entry.is_coming = False
        if reply.kind == "lost":
            for place in places:
                self._tell(owner, m.ObjectLost(key, place.node_id))
            if entry.owner is not None:  # the owner finds another copy, makes it again, or says why it cannot
                entry.value, entry.asked = None, False
                self._core.refs.fetch(key, entry)
            elif entry.arrivals:  # it has been made again meanwhile, elsewhere
                self.bring(key, entry)
        else:
            text = f"Object {key.hex()} cannot be brought here. {reply.message}"
            if reply.kind == "full":
                entry.problem = ObjectStoreFullError(text)
            elif reply.kind == "connection_lost":
                if self._core.mode == "worker":
                    return  # this process ends with its raylet: nothing of it may look like an error of the task
                entry.problem = LocalRayletDiedError()
            else:
                entry.problem = RaySystemError(text)
            self.arrived(entry)

    def _tell(self, owner: m.Address, message: m.ObjectLost) -> None:
        if owner.worker_id == self._core.worker_id:
            self.received(message)
            return
        try:
            self._core.peer(owner).send(message)
        except OSError:  # the owner has ended, and its objects with it: `fetch` says so to whoever waits
            return

    def arrived(self, entry: Entry) -> None:
        """The value is here: wake whoever waits for that."""
        arrivals, entry.arrivals = entry.arrivals, []
        is_error = entry.value is not None and entry.value.is_error
        for waiter in arrivals:
            if is_error and waiter.fails_fast:
                waiter.finish()
            else:
                waiter.arrived()

    # ---------------------------------------------------------- the owner's directory

    def received(self, message: m.AddLocation | m.ObjectLost) -> None:
        """There is a copy more, or one that cannot be had."""
        key = message.object_id
        entry = self._core.objects.get(key)
        if isinstance(message, m.AddLocation):
            self.copied(key, message.location)
        elif entry is not None:
            self._lost(key, entry, message.node_id)

    def copied(self, key: bytes, where: m.StoreLocation) -> None:
        """An object of ours lies there too."""
        entry = self._core.objects.get(key)
        if entry is None or entry.value is None or entry.value.location is None:
            self.may_lie(key, where)  # lost, or not known yet, and somebody may read that copy
            return
        first = entry.value.location
        if where.node_id != first.node_id:
            attempt = max(each.attempt for each in (where, *entry.copies) if each.node_id == where.node_id)
            entry.copies = [copy for copy in entry.copies if copy.node_id != where.node_id]
            entry.copies.append(msgspec.structs.replace(where, attempt=attempt))
        elif where.attempt > first.attempt:  # both lie there, and their free must mean both
            first = msgspec.structs.replace(first, attempt=where.attempt)
            entry.value = msgspec.structs.replace(entry.value, location=first)

    def free(self, key: bytes, entry: Entry) -> None:
        """Nobody reads an object of ours any more: free every copy of it that we know. It may be made again."""
        for place in self._places_of(entry):
            self.free_at(place, key)

    def forget(self, key: bytes, entry: Entry) -> None:
        """Nobody will ever want it again: free it wherever it may lie."""
        strays = self._core.strays.gone(key)
        for place in self._places_of(entry):
            if place.node_id not in strays:
                self.free_at(place, key, for_good=True)
        for node_id in strays:
            self._core.raylet.send(m.FreeObjects([key], node_id, m.ANY_ATTEMPT, for_good=True))

    def _places_of(self, entry: Entry) -> list[m.StoreLocation]:
        """One for each node."""
        value = entry.value
        return entry.copies if value is None or value.location is None else [*entry.copies, value.location]

    def may_lie(self, key: bytes, where: m.StoreLocation) -> None:
        """A copy of an object of ours may lie there, which we do not count on: it goes with the object."""
        if key in self._core.objects:
            self._core.strays.may_lie(key, where.node_id)
        else:
            self.free_at(where, key, for_good=True)

    def task_over(self, task_id: bytes, num_refs: int) -> None:
        """Attempts of the task were lost before it ended: what they had sealed of it is freed.

        Args:
            num_refs: how many results it has; negative if that is not known.
        """
        objects = self._core.objects
        if num_refs >= 0:
            wanted = [key for n in range(1, num_refs + 1) if (key := object_id(task_id, n)) in objects]
        else:  # a generator's items: rare enough to look at everything
            wanted = [key for key in objects if key.startswith(task_id)]
        nodes = self._core.strays.task_over(task_id, wanted)
        if len(wanted) != num_refs:
            for node_id in nodes:
                self._core.raylet.send(m.FreeRest(task_id, self._core.worker_id, wanted, node_id))

    def free_at(self, where: m.StoreLocation, key: bytes, for_good: bool = False) -> None:
        """Free what lies there, and what earlier attempts may have left on that node."""
        self._core.raylet.send(m.FreeObjects([key], where.node_id, where.attempt, for_good))

    def _lost(self, key: bytes, entry: Entry, node_id: bytes) -> None:
        """The copy on that node cannot be had: others take its place, or the object is lost."""
        value = entry.value
        if value is None or value.location is None:
            return  # it is being made again already
        places = [value.location, *entry.copies]
        left = [place for place in places if place.node_id != node_id]
        if len(left) == len(places):
            return  # known before
        if node_id not in self._dead:  # it may be there all the same, and only could not be brought
            self._core.strays.may_lie(key, node_id)
        if left:
            entry.value = msgspec.structs.replace(value, location=left[0])
            entry.copies = left[1:]
            if entry.arrivals:
                self.bring(key, entry)
            return
        loss = f"Its only copy was on node {node_id.hex()}, which has died, or could not read it."
        self._core.lineage.make_again(key, entry, loss)
