"""Free memory of the arena that still has its pages, and when those go back to the system.

Floor: raylet, pure. Pages that were used before are several times faster to write to than new ones, so they stay for a
while; what nobody has taken by then is given back.
"""

from __future__ import annotations


class IdleMemory:
    """Args: keep_s: how long pages stay."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._parts: dict[int, tuple[int, float]] = {}
        """Size of each part, and since when nothing lies in it, by its offset; they do not overlap."""

    def __repr__(self) -> str:
        return f"<IdleMemory {self.size} bytes in {len(self._parts)} parts>"

    @property
    def size(self) -> int:
        return sum(size for size, _ in self._parts.values())

    def freed(self, offset: int, size: int, now_s: float) -> None:
        """Nothing lies there any more."""
        self._parts[offset] = size, now_s

    def taken(self, offset: int, size: int) -> bool:
        """It is in use from now on. False: not all of it has pages."""
        end, found = offset + size, 0
        for start, (length, since_s) in list(self._parts.items()):
            common = min(start + length, end) - max(start, offset)
            if common <= 0:
                continue
            found += common
            del self._parts[start]
            if start < offset:
                self._parts[start] = offset - start, since_s
            if start + length > end:
                self._parts[end] = start + length - end, since_s
        return found == size

    @property
    def due_s(self) -> float | None:
        """When the next pages are to go; None: there are none."""
        if not self._parts:
            return None
        return min(since_s for _, since_s in self._parts.values()) + self._keep_s

    def take_due(self, now_s: float, most: int) -> list[tuple[int, int]]:
        """(offset, size) of parts that go now, `most` bytes of them; the rest stays due."""
        found: list[tuple[int, int]] = []
        for start, (length, since_s) in list(self._parts.items()):
            if most > 0 and since_s + self._keep_s <= now_s:
                size = min(length, most)
                found.append((start, size))
                self.taken(start, size)
                most -= size
        return found
