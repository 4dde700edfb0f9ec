"""Which uploaded packages of runtime environments are still needed. Floor: common, pure.

A package is kept while a living job or detached actor holds it, and for a while after its upload, since whoever
uploads it needs time to say what for. Source: Ray docs, "Environment dependencies", "Caching and garbage collection".
"""

from __future__ import annotations

import json
from collections.abc import Iterable

SCHEME = "gcs://"


def packages_of(runtime_env: str) -> list[str]:
    """URIs of the packages in the key-value table that an environment (JSON, "" for none) is made of."""
    fields = json.loads(runtime_env) if SCHEME in runtime_env else {}
    uris = [fields.get("working_dir"), *(fields.get("py_modules") or []), *(fields.get("java_jars") or [])]
    return [uri for uri in uris if isinstance(uri, str) and uri.startswith(SCHEME)]


class PackageTable:
    """Holders by package. A holder is the id of a job or of an actor."""

    def __init__(self) -> None:
        self._holders: dict[str, set[bytes]] = {}
        self._held: dict[bytes, set[str]] = {}
        self._pinned_until_s: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<PackageTable held={len(self._holders)} pinned={len(self._pinned_until_s)}>"

    def pin(self, uri: str, until_s: float) -> None:
        """It has been uploaded: keep it at least until then."""
        self._pinned_until_s[uri] = until_s

    def hold(self, holder: bytes, uris: Iterable[str]) -> None:
        """Again: nothing."""
        for uri in uris:
            self._holders.setdefault(uri, set()).add(holder)
            self._held.setdefault(holder, set()).add(uri)

    def release(self, holder: bytes) -> list[str]:
        """The holder is gone; returns the packages that nobody needs any more."""
        gone = []
        for uri in sorted(self._held.pop(holder, ())):
            self._holders[uri].discard(holder)
            if not self._holders[uri]:
                del self._holders[uri]
                if uri not in self._pinned_until_s:
                    gone.append(uri)
        return gone

    def expire(self, now_s: float) -> list[str]:
        """Pins that are over go; returns the packages that nobody needs any more."""
        over = sorted(uri for uri, until_s in self._pinned_until_s.items() if until_s <= now_s)
        for uri in over:
            del self._pinned_until_s[uri]
        return [uri for uri in over if uri not in self._holders]

    def validate(self) -> None:
        pairs = {(holder, uri) for uri, holders in self._holders.items() for holder in holders}
        assert pairs == {(holder, uri) for holder, uris in self._held.items() for uri in uris}, self
        assert all(self._holders.values()) and all(self._held.values()), self
