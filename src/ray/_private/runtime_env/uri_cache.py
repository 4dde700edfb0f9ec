"""Which URIs a node has, who uses them, and which go when there are too many. Pure."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

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


DEFAULT_MAX_URI_CACHE_SIZE_BYTES = DEFAULT_LIMIT


class URICache:
    """The same under the names of plug-ins that keep a cache of their own.

    Args:
        delete_fn: called with a URI (and a logger) that is given up; returns the bytes that this freed.
    """

    def __init__(
        self,
        delete_fn: Callable[[str, Any], int] | None = None,
        max_total_size_bytes: int = DEFAULT_LIMIT,
        debug_mode: bool = False,
    ) -> None:
        self._cache = UriCache(max_total_size_bytes)
        self._delete = delete_fn

    def __repr__(self) -> str:
        return repr(self._cache)

    def __contains__(self, uri: str) -> bool:
        return uri in self._cache

    def add(self, uri: str, size_bytes: int, logger: Any = None) -> None:
        """It is on the node now, and has one user more."""
        users = self._cache.users(uri)
        self._cache.add(uri, size_bytes)
        for _ in range(users + 1):
            self._cache.use(uri)
        self._give_up(logger)

    def mark_used(self, uri: str, logger: Any = None) -> None:
        """Raises ValueError for a URI that is not here."""
        self._check(uri)
        self._cache.use(uri)

    def mark_unused(self, uri: str, logger: Any = None) -> None:
        """Raises ValueError for a URI that is not here."""
        self._check(uri)
        self._cache.unuse(uri)
        self._give_up(logger)

    def get_total_size_bytes(self) -> int:
        return self._cache.size()

    def _check(self, uri: str) -> None:
        if uri not in self._cache:
            raise ValueError(f"Got request to mark URI {uri}, but it is not present in the cache.")

    def _give_up(self, logger: Any) -> None:
        for uri in self._cache.evict():
            if self._delete is not None:
                self._delete(uri, logger)
