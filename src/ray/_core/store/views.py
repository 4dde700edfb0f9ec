"""Which objects of the shared memory this process has values on.

Floor: store. A value read from shared memory lies on a view, and the view holds the object's ref; so the object is not
freed under it. The raylet may move objects to disk, but not those that somebody views: it asks (`viewed`).
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterable
from typing import Any, Protocol

from ray._core.common import object_header
from ray._core.common.object_header import HEADER_SIZE
from ray._core.store.arena import Arena


class Place(Protocol):
    """Where an object lies in the arena."""

    @property
    def offset(self) -> int: ...

    @property
    def size(self) -> int: ...


class Ref(Protocol):
    def binary(self) -> bytes: ...


class Views:
    """Until `attach` there is no memory, and nothing is viewed."""

    def __init__(self, arena: Arena | None = None) -> None:
        if arena is not None:
            self._arena = arena
        self._bases: dict[bytes, weakref.ref[Any]] = {}

    def attach(self, arena: Arena) -> None:
        self._arena = arena

    def open(self, ref: Ref, where: Place) -> memoryview | None:
        """A read-only view of the object, which keeps `ref` as long as any value lies on it; None: it has moved.

        memoryview(array).obj is the ctypes array, numpy keeps the memoryview, and the array carries the ref.
        """
        key = ref.binary()
        known = self._bases.get(key)
        array: Any = None if known is None else known()
        if array is None or not array.is_readable:
            array = (ctypes.c_char * where.size).from_buffer(self._arena.map, where.offset)
            array.pin, array.offset, array.is_readable = ref, where.offset, False
            # First told, then looked: see object_header.
            self._bases[key] = weakref.ref(array, lambda gone: self._closed(key, gone))
            if not object_header.is_readable(self._arena.window(where.offset - HEADER_SIZE, HEADER_SIZE), key):
                return None
            array.is_readable = True
        return memoryview(array).cast("B").toreadonly()

    def keep(self) -> None:
        """The values of this process outlive its part in the session: from now on they lie on memory of its own."""
        arrays = [array for known in list(self._bases.values()) if (array := known()) is not None]
        for array in arrays:
            self._arena.make_private(array.offset, len(array))

    def _closed(self, key: bytes, gone: weakref.ref[Any]) -> None:
        """The last value on it is gone; the collector calls this, anywhere."""
        if self._bases.get(key) is gone:
            del self._bases[key]

    def viewed(self, object_ids: Iterable[bytes]) -> list[bytes]:
        """Those that values of this process lie on."""
        return [key for key in object_ids if key in self._bases]
