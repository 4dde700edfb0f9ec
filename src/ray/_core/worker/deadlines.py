"""Until when calls must have ended: of those that were given a timeout, the earliest first.

Floor: worker, pure. `timeouts` adds a call when it is made, takes it out when it ends, and asks what is due.
"""

from __future__ import annotations

import heapq

STALE_KEPT = 64
"""So many entries of calls that have ended may lie in the heap before it is worth looking whether they are most of it:
a loop of quick calls with a timeout of an hour must not keep an hour's calls."""


class Deadlines:
    """Moments are monotonic, in seconds. Each operation costs O(log n) of the calls that are under way."""

    def __init__(self) -> None:
        self._at_s: dict[bytes, float] = {}
        self._heap: list[tuple[float, bytes]] = []
        """With calls that have ended, which are passed over."""

    def __len__(self) -> int:
        return len(self._at_s)

    def __repr__(self) -> str:
        return f"<Deadlines calls={len(self._at_s)} next_at_s={self.next_at_s}>"

    @property
    def next_at_s(self) -> float | None:
        """The earliest deadline; None: there is none."""
        heap, at_s = self._heap, self._at_s
        while heap and at_s.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def add(self, task_id: bytes, at_s: float) -> None:
        """The call must have ended `at_s`; a call that is known gets this deadline in place of the other."""
        self._at_s[task_id] = at_s
        heapq.heappush(self._heap, (at_s, task_id))
        self._compact()

    def remove(self, task_id: bytes) -> None:
        """The call has ended, in time or not; one that had no deadline changes nothing."""
        if self._at_s.pop(task_id, None) is not None:
            self._compact()

    def due(self, now_s: float) -> list[bytes]:
        """Take out the calls whose deadline has come, earliest first."""
        due: list[bytes] = []
        while (at_s := self.next_at_s) is not None and at_s <= now_s:
            _, task_id = heapq.heappop(self._heap)
            del self._at_s[task_id]
            due.append(task_id)
        return due

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._at_s) + STALE_KEPT:
            self._heap = [(at_s, task_id) for task_id, at_s in self._at_s.items()]
            heapq.heapify(self._heap)
