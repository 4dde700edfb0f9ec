"""What of a large object has come, what is asked for, and what is still to be asked for. Floor: raylet, pure."""

from __future__ import annotations

from collections import deque


class Parts:
    """Args: step: bytes of a part; the last one may be shorter."""

    def __init__(self, size: int, step: int) -> None:
        self.size = size
        self._step = step
        self._todo = deque(range(0, size, step))
        self._missing = set(self._todo)

    def __repr__(self) -> str:
        return f"<Parts missing={len(self._missing)} unasked={len(self._todo)}>"

    def claim(self) -> tuple[int, int] | None:
        """(start, length) of the next part to ask for, from the front; None when all are asked for."""
        if not self._todo:
            return None
        start = self._todo.popleft()
        return start, min(self._step, self.size - start)

    def came(self, start: int) -> None:
        self._missing.discard(start)

    def again(self, start: int) -> None:
        """A part did not come: it is asked for next."""
        self._todo.appendleft(start)

    def has(self, start: int, length: int) -> bool:
        """Whether all of these bytes have come."""
        first = start - start % self._step
        return self._missing.isdisjoint(range(first, start + length, self._step))

    @property
    def come_bytes(self) -> int:
        """How much has come, at least."""
        return max(self.size - len(self._missing) * self._step, 0)

    @property
    def is_whole(self) -> bool:
        return not self._missing
