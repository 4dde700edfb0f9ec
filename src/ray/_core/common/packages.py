"""Which uploaded packages of runtime environments, and exported functions, are still needed. Floor: common, pure.

A package is kept while a living job or detached actor holds it, and for a while after its upload, since whoever
uploads it needs time to say what for. The functions of a job are kept together, like one package.
Source: Ray docs, "Environment dependencies", "Caching and garbage collection".

A package is at most half a gigabyte, so it lies in the key-value table in parts, none larger than a message may
comfortably be: they come first, and last, under the package's URI, how many there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import BinaryIO

SCHEME = "gcs://"
FUNCTIONS = "fun://"
"""What a job's functions in the key-value table are called together, before its id in hex."""
PART_SIZE = 8 << 20
"""Bytes. The GCS serves nobody else while it handles one part; 8 MiB take it a few milliseconds."""
_HEAD = b"\0ray package in parts: "
"""No archive begins so."""


def is_package(namespace: str, key: bytes) -> bool:
    """Whether this key of the table belongs to a package."""
    return not namespace and key.startswith(SCHEME.encode())


def package_of(key: bytes) -> str:
    """The URI of the package that a key belongs to."""
    return key.partition(b"#")[0].decode()


def part_keys(uri: str, value: bytes) -> list[str]:
    """Keys of the parts of the package that has `value` under its URI; none when that is the package itself."""
    if not value.startswith(_HEAD):
        return []
    return [_part_key(uri, number) for number in range(int(value[len(_HEAD) :]))]


def _part_key(uri: str, number: int) -> str:
    return f"{uri}#{number}"


class Parts:
    """Cuts a package that comes bit by bit. What the methods give is to be stored, in this order."""

    def __init__(self, uri: str, part_size: int = PART_SIZE) -> None:
        self._uri = uri
        self._part_size = part_size
        self._rest = bytearray()
        self._count = 0

    def feed(self, data: bytes | memoryview) -> Iterator[tuple[str, bytes]]:
        """More of the package: keys and values of the parts that it completes."""
        view = memoryview(data)
        while len(self._rest) + len(view) > self._part_size:
            room = self._part_size - len(self._rest)
            self._rest += view[:room]
            view = view[room:]
            yield self._part()
        self._rest += view

    def finish(self) -> Iterator[tuple[str, bytes]]:
        """That was all of it."""
        if not self._count:
            yield self._uri, bytes(self._rest)
            return
        yield self._part()
        yield self._uri, _HEAD + str(self._count).encode()

    def _part(self) -> tuple[str, bytes]:
        part, self._rest = bytes(self._rest), bytearray()
        self._count += 1
        return _part_key(self._uri, self._count - 1), part


def in_parts(uri: str, source: BinaryIO, part_size: int = PART_SIZE) -> Iterator[tuple[str, bytes]]:
    """What to store for the package that `source` gives from its position on; two parts are in memory at most."""
    parts = Parts(uri, part_size)
    while data := source.read(part_size):
        yield from parts.feed(data)
    yield from parts.finish()


def function_key(job_id: bytes, digest: str) -> str:
    """Under which a large function or class of a job lies in the key-value table's namespace "fun"."""
    return f"{job_id.hex()}:{digest}"


def functions_of(job_id: bytes) -> str:
    """All of a job's functions, as if they were a package."""
    return FUNCTIONS + job_id.hex()


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
