"""Requests that are answered once something has happened. Floor: gcs, pure but for the connections it remembers."""

from __future__ import annotations

from typing import Generic, TypeVar

from ray._core.wire.aio import Connection

Key = TypeVar("Key")
Wanted = TypeVar("Wanted")


class Waiters(Generic[Key, Wanted]):
    """Who asked for what, by what they wait for, in the order in which they came."""

    def __init__(self) -> None:
        self._by_key: dict[Key, list[tuple[Connection, Wanted]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_key.values()))

    def add(self, key: Key, connection: Connection, request: Wanted) -> None:
        self._by_key.setdefault(key, []).append((connection, request))

    def take(self, key: Key) -> list[tuple[Connection, Wanted]]:
        """It has happened: the requests, which wait no longer."""
        return self._by_key.pop(key, [])

    def gone(self, connection: Connection) -> None:
        """The connection is closed: nobody wants the answers."""
        for key, waiting in list(self._by_key.items()):
            left = [each for each in waiting if each[0] is not connection]
            if left:
                self._by_key[key] = left
            else:
                del self._by_key[key]
