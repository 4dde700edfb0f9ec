"""Who holds which object across the connection: counts on both sides of it. Floor: client, pure.

The server hands ids out, in answers and inside values, and keeps each object as long as its client may need it. A
client that sent "release X" while an answer with X in it was on its way must not lose X. So both sides count how often
X was handed out: the client returns all it has received once its last ref is gone, and the server lets go of X when
everything that it handed out has come back. Original clients return an id once, however often they got it; for them
one return is enough (`counted=False`).
"""

from __future__ import annotations

from typing import Generic, TypeVar

V = TypeVar("V")


class ClientRefs:
    """The client's side: refs of its program, by id."""

    def __init__(self) -> None:
        self._counts: dict[bytes, list[int]] = {}

    def received(self, key: bytes) -> None:
        """The server handed the id out once, and the program has one ref more to it."""
        counts = self._counts.setdefault(key, [0, 0])
        counts[0] += 1
        counts[1] += 1

    def copied(self, key: bytes) -> None:
        """The program has one ref more, which did not come from the server."""
        self._counts.setdefault(key, [0, 0])[1] += 1

    def dropped(self, key: bytes) -> int:
        """The program has one ref less. How many times the id is to be returned now; 0: not yet, or never."""
        counts = self._counts[key]
        counts[1] -= 1
        if counts[1]:
            return 0
        del self._counts[key]
        return counts[0]

    def count(self, key: bytes) -> int:
        """Refs of the program."""
        return self._counts.get(key, (0, 0))[1]

    def __len__(self) -> int:
        return len(self._counts)


class HandedOut(Generic[V]):
    """The server's side: what one client holds, by id."""

    def __init__(self, *, counted: bool) -> None:
        self._counted = counted
        self._held: dict[bytes, tuple[V, int]] = {}

    def hand_out(self, key: bytes, value: V, *, replace: bool = False) -> None:
        """The client is told this id; the value of the first time stays until it comes back, unless `replace`."""
        held, count = self._held.get(key, (value, 0))
        self._held[key] = (value if replace else held, count + 1)

    def take_back(self, key: bytes) -> V | None:
        """The client returns the id once. The value to let go of when that was the last; None otherwise."""
        if key not in self._held:
            return None
        value, count = self._held[key]
        if self._counted and count > 1:
            self._held[key] = (value, count - 1)
            return None
        del self._held[key]
        return value

    def get(self, key: bytes) -> V | None:
        held = self._held.get(key)
        return None if held is None else held[0]

    def __contains__(self, key: object) -> bool:
        return key in self._held

    def __len__(self) -> int:
        return len(self._held)

    def keys(self) -> list[bytes]:
        return list(self._held)

    def clear(self) -> None:
        self._held.clear()
