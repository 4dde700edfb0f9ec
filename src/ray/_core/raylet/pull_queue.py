"""Which objects are brought to this node next: as many at a time as memory is free for, the most urgent first.

Floor: raylet, pure. Somebody blocked in `get` comes before `wait`, and both before the arguments of tasks that have not
begun. Nothing overtakes: a large object would otherwise wait for as long as small ones come.
Source: Ray's design of pull admission (get > wait > task arguments).
"""

from __future__ import annotations

import heapq
import itertools

MOST_ACTIVE = 256
"""Pulls at a time however small they are; each is a few messages under way, and a task of the event loop."""


class PullQueue:
    def __init__(self, most_active: int = MOST_ACTIVE) -> None:
        self._most_active = most_active
        self._waiting: dict[bytes, tuple[int, int, bytes]] = {}
        """Each one's place in the heap, where older places of those that were urged stay until they surface."""
        self._heap: list[tuple[int, int, bytes]] = []
        self._sizes: dict[bytes, int] = {}
        self._active: dict[bytes, int] = {}
        """Bytes which each pull under way is yet to take from the free memory."""
        self.promised = 0
        """Their sum."""
        self._numbers = itertools.count()

    def __repr__(self) -> str:
        return f"<PullQueue waiting={len(self._waiting)} active={len(self._active)} promised={self.promised}>"

    def add(self, object_id: bytes, size: int, priority: int) -> None:
        """An object is wanted here that is neither waiting nor under way. `priority`: 0 is the most urgent."""
        self._sizes[object_id] = size
        self._push(priority, next(self._numbers), object_id)

    def urge(self, object_id: bytes, priority: int) -> None:
        """Somebody else wants it too; what is under way already goes on as it is."""
        place = self._waiting.get(object_id)
        if place is not None and priority < place[0]:
            self._push(priority, place[1], object_id)

    def _push(self, priority: int, number: int, object_id: bytes) -> None:
        place = self._waiting[object_id] = (priority, number, object_id)
        heapq.heappush(self._heap, place)

    def start(self, free: int) -> bytes | None:
        """The next pull to begin; None: there is none, or it is to wait for memory.

        One is always under way, even without free memory: others will have to leave that for the disk.

        Args:
            free: bytes that nothing lies in.
        """
        while self._heap and self._waiting.get(self._heap[0][2]) != self._heap[0]:
            heapq.heappop(self._heap)
        if not self._heap or len(self._active) >= self._most_active:
            return None
        object_id = self._heap[0][2]
        size = self._sizes[object_id]
        if self._active and size > free - self.promised:
            return None
        heapq.heappop(self._heap)
        del self._waiting[object_id], self._sizes[object_id]
        self._active[object_id] = size
        self.promised += size
        return object_id

    def took_room(self, object_id: bytes) -> None:
        """What it needs is no longer free."""
        self.promised -= self._active[object_id]
        self._active[object_id] = 0

    def ended(self, object_id: bytes) -> None:
        """It has come, or cannot be had."""
        self.promised -= self._active.pop(object_id)
