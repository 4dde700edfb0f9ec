"""Which URIs a node has, who uses them, and which go when there are too many. Pure."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict

DEFAULT_LIMIT = 10 * 1024**3
"""Bytes per plug-in. Source: Ray docs, "Environment dependencies", "Caching and garbage collection"."""


@dataclasses.dataclass(slots=True)
class _Entry:
    size: int
    users: int = 0


class UriCache:
    """URIs of one plug-in. Those without users stay until all together are larger than `limit` (bytes)."""

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        """Least recently used first."""

    def __repr__(self) -> str:
        return f"<UriCache uris={len(self._entries)} size={self.size()} limit={self.limit}>"

    def __contains__(self, uri: str) -> bool:
        return uri in self._entries

    def size(self) -> int:
        return sum(entry.size for entry in self._entries.values())

    def users(self, uri: str) -> int:
        return self._entries[uri].users if uri in self._entries else 0

    def add(self, uri: str, size: int) -> None:
        """It is on the node now; nobody uses it yet."""
        self._entries[uri] = _Entry(int(size))

    def use(self, uri: str) -> None:
        """One user more. Raises KeyError for a URI that is not here."""
        self._entries[uri].users += 1
        self._entries.move_to_end(uri)

    def unuse(self, uri: str) -> None:
        """One user less."""
        entry = self._entries[uri]
        entry.users -= 1
        assert entry.users >= 0, uri
        self._entries.move_to_end(uri)

    def evict(self) -> list[str]:
        """Forget unused URIs, least recently used first, until the limit is kept; they are to be deleted."""
        size, gone = self.size(), []
        for uri, entry in list(self._entries.items()):
            if size <= self.limit:
                break
            if not entry.users:
                del self._entries[uri]
                size -= entry.size
                gone.append(uri)
        return gone
