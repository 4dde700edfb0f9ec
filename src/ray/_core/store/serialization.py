"""User values to bytes and back: pickle 5 with out-of-band buffers, cloudpickle for code.

Floor: store. One layout serves inline values, results and objects in the arena:

    u8 kind | ...
    RAW      the bytes of a `bytes` object
    BUFFERS  u24 0 | u32 n | u64 pickle size | n x (u64 offset, u64 size) | pickle | buffers, each 64-byte aligned
    ERROR    the pickle of an exception: whoever gets the object raises it

    PICKLE is what a pickle begins with anyway, so nothing stands before it: small values are not copied for their kind.

The plain C pickler is tried first; it is 5 times as fast as cloudpickle (0.7 against 4 µs for a small tuple). It
pickles classes and functions by reference, which is wrong for those of `__main__`: their pickles contain that
name, and anything that does, or that the C pickler refuses, goes through cloudpickle.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray._core.common import by_value
from ray._core.common.errors import RayError, UnserializableException

RAW, BUFFERS, ERROR, PICKLE = 0, 2, 3, pickle.PROTO[0]
_KINDS = [bytes((kind,)) for kind in range(4)]
ALIGNMENT = 64
_HEAD = struct.Struct("<B3xIQ")
_SPAN = struct.Struct("<QQ")


def align(size: int) -> int:
    return (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1)


class _Capture(threading.local):
    refs: list[Any] | None = None
    """Refs and handles met while this thread pickles a value; None outside (`ObjectRef.__reduce__` looks here)."""


capture = _Capture()


def size_of(kind: int, inband_size: int, sizes: Sequence[int]) -> int:
    """Bytes of a value with an in-band part and buffers of these sizes."""
    if kind == PICKLE:
        return inband_size
    if kind != BUFFERS:
        return 1 + inband_size
    size = _HEAD.size + _SPAN.size * len(sizes) + inband_size
    for buffer_size in sizes:
        size = align(size) + buffer_size
    return size


def lay_out(target: memoryview, kind: int, inband_size: int, sizes: Sequence[int]) -> list[int]:
    """Write the head of such a value; where in `target` its in-band part and its buffers begin."""
    if kind == PICKLE:
        return [0]
    if kind != BUFFERS:
        target[0] = kind
        return [1]
    _HEAD.pack_into(target, 0, BUFFERS, len(sizes), inband_size)
    position = _HEAD.size + _SPAN.size * len(sizes)
    places = [position]
    position += inband_size
    for number, size in enumerate(sizes):
        position = align(position)
        _SPAN.pack_into(target, _HEAD.size + _SPAN.size * number, position, size)
        places.append(position)
        position += size
    return places


class Serialized:
    """A value ready to be written: into a message (`to_blob`) or into the arena (`write_into`)."""

    __slots__ = ("buffers", "inband", "kind", "refs", "size")

    def __init__(self, kind: int, inband: bytes, buffers: list[memoryview], refs: list[Any]) -> None:
        self.kind = kind
        self.inband = inband
        self.buffers = buffers
        self.refs = refs
        self.size = size_of(kind, len(inband), [buffer.nbytes for buffer in buffers] if buffers else ())

    @property
    def is_error(self) -> bool:
        return self.kind == ERROR

    def to_blob(self) -> bytes:
        if self.kind == PICKLE:
            return self.inband
        if self.kind != BUFFERS:
            return _KINDS[self.kind] + self.inband
        target = bytearray(self.size)
        self.write_into(memoryview(target))
        return bytes(target)

    def write_into(self, target: memoryview, write: Callable[[int, memoryview], bool] | None = None) -> None:
        """Write all `size` bytes; large buffers are copied once, here.

        Args:
            write: a faster way for a buffer to its place in `target`, if it can (False: it cannot).
        """
        places = lay_out(target, self.kind, len(self.inband), [buffer.nbytes for buffer in self.buffers])
        for start, part in zip(places, (memoryview(self.inband), *self.buffers), strict=True):
            if write is None or not write(start, part):
                target[start : start + part.nbytes] = part


_PLAIN = frozenset((int, float, bool, str, type(None)))
"""Their pickles name no class and hold no ref."""


def plain_blob(value: Any) -> bytes | None:
    """What `serialize(value).to_blob()` gives, for numbers, strings, bytes and None; None for all else.

    These are most of what tasks return: a third of the bytecodes (see docs/performance.md).
    """
    if type(value) in _PLAIN:
        return pickle.dumps(value, 5)
    return _KINDS[RAW] + value if type(value) is bytes else None


def serialize(value: Any) -> Serialized:
    """Pickle `value`, collecting the refs inside it. An error of Ray's is raised again for whoever gets it.

    Raises:
        Exception: whatever the pickler raises for what cannot be pickled.
    """
    if type(value) is bytes:
        return Serialized(RAW, value, [], [])
    if type(value) in _PLAIN:
        return Serialized(PICKLE, pickle.dumps(value, 5), [], [])
    if isinstance(value, RayError):
        return serialize_error(value)
    buffers: list[pickle.PickleBuffer] = []
    outer, capture.refs = capture.refs, []
    try:
        inband = _dump(value, buffers)
        refs = capture.refs
    finally:
        capture.refs = outer
    if not buffers:
        return Serialized(PICKLE, inband, [], refs)
    return Serialized(BUFFERS, inband, [_flat(buffer) for buffer in buffers], refs)


def serialize_error(error: BaseException) -> Serialized:
    """An exception as a value that raises. The caller has made sure that it can be pickled."""
    outer, capture.refs = capture.refs, []
    try:
        inband = _dump(error, None)
        return Serialized(ERROR, inband, [], capture.refs)
    finally:
        capture.refs = outer


def _dump(value: Any, buffers: list[pickle.PickleBuffer] | None) -> bytes:
    callback = buffers.append if buffers is not None else None
    try:
        inband = pickle.dumps(value, 5, buffer_callback=callback)
        if b"__main__" not in inband and not _by_value_modules():
            return inband
    except Exception:  # whatever the value's own code raises: where that is its fault, it raises it below again
        pass
    if buffers is not None:
        buffers.clear()
    if capture.refs is not None:
        capture.refs.clear()
    return by_value.dumps(value, callback)


def dump_code(value: Any) -> bytes:
    """A function or class by cloudpickle: by value when it lives in `__main__`, by reference when importable."""
    return by_value.dumps(value)


def load_code(blob: bytes) -> Any:
    """What `dump_code` wrote."""
    return pickle.loads(blob)


def _by_value_modules() -> bool:
    """Whether the user asked cloudpickle to pickle some modules by value."""
    module: Any = sys.modules.get("cloudpickle.cloudpickle")
    return bool(module is not None and module.list_registry_pickle_by_value())


def _flat(buffer: pickle.PickleBuffer) -> memoryview:
    return buffer.raw()


class ErrorValue:
    """What deserializing an ERROR gives: the exception to raise."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


Names = Mapping[tuple[str, str], Any]
"""By module and name: what a pickle is to find there instead."""


def deserialize(data: bytes | memoryview, instead: Names | None = None) -> Any:
    """The value; for an ERROR, an `ErrorValue`. Buffers of the value are read-only views of `data`."""
    kind = data[0]
    if kind == PICKLE:
        return pickle.loads(data) if instead is None else _Renaming(data, (), instead).load()
    if kind == RAW:
        return bytes(data[1:])
    if kind == BUFFERS:
        view = memoryview(data)
        _, count, inband_size = _HEAD.unpack_from(view, 0)
        spans = [_SPAN.unpack_from(view, _HEAD.size + _SPAN.size * number) for number in range(count)]
        start = _HEAD.size + _SPAN.size * count
        buffers = [view[offset : offset + size] for offset, size in spans]
        return _loads(view[start : start + inband_size], buffers, instead)
    if kind == ERROR:
        return ErrorValue(_load_error(memoryview(data)[1:]))
    raise ValueError(f"An object begins with kind {kind}, which is none that this version knows.")


deserialize_plain = pickle.loads
"""As `deserialize`, for what is of kind PICKLE and holds no refs."""


class _Renaming(pickle.Unpickler):
    def __init__(self, data: bytes | memoryview, buffers: Sequence[memoryview], instead: Names) -> None:
        super().__init__(io.BytesIO(data), buffers=buffers)
        self._instead = instead

    def find_class(self, module: str, name: str) -> Any:
        """Called once for each name in a pickle, however often that uses it."""
        found = self._instead.get((module, name))
        return super().find_class(module, name) if found is None else found


def _loads(data: memoryview, buffers: Sequence[memoryview], instead: Names | None) -> Any:
    return pickle.loads(data, buffers=buffers) if instead is None else _Renaming(data, buffers, instead).load()


def _load_error(data: memoryview) -> BaseException:
    try:
        error: Any = pickle.loads(data)
    except Exception as problem:
        return UnserializableException(f"The error could not be unpickled here: {problem!r}")
    if not isinstance(error, BaseException):
        return UnserializableException(f"The error arrived as {type(error).__name__}: {error!r}")
    return error


# ------------------------------------------------------------------ custom serializers

_replaced: dict[type, Any] = {}
"""Classes with a custom serializer, and the reducer that `copyreg` had for each before (None: none)."""


def register(cls: type, serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any]) -> None:
    """Pickle instances of exactly `cls` (not of subclasses) in this process as `deserializer(serializer(instance))`.

    The deserializer is pickled into each object, so whoever reads it need not register.
    """
    if cls not in _replaced:
        _replaced[cls] = copyreg.dispatch_table.get(cls)
    copyreg.pickle(cls, lambda instance: (deserializer, (serializer(instance),)))


def deregister(cls: type) -> None:
    """Undo `register`; a class that is not registered is left as it is."""
    if cls in _replaced:
        before = _replaced.pop(cls)
        copyreg.dispatch_table.pop(cls, None)
        if before is not None:
            copyreg.pickle(cls, before)
