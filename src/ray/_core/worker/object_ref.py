"""What users hold: a reference to an object that exists or will.

Floor: worker. A ref knows its id and its owner; everything else is the core worker's.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ray._core.common.errors import OufOfBandObjectRefSerializationException
from ray._core.common.ids import OBJECT_ID_SIZE, JobID, TaskID
from ray._core.common.messages import Address
from ray._core.store.serialization import capture

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator
    from concurrent.futures import Future

    from ray._core.worker.core import CoreWorker

T = TypeVar("T")
_core: CoreWorker | None = None
"""The process's core worker; set by `core` when it connects, None otherwise."""


_NOBODY: deque[bytes] = deque(maxlen=0)
"""Where the end of a ref that nobody counts is told."""


class ObjectRef(Generic[T]):
    """A reference to one object. `ray.get(ref)` gives its value; passing it on passes the object.

    The object lives as long as any ref to it does, anywhere in the cluster.
    """

    __module__ = "ray"  # its public name
    __slots__ = ("__weakref__", "_id", "_owner", "_released")

    def __init__(self, object_id: bytes, owner: Address | None = None, released: deque[bytes] | None = None) -> None:
        """`released`: of the core worker that counts this ref. Without it the ref is made by hand, and counts only
        where its object is known to this process already.

        Raises:
            ValueError: not 28 bytes.
        """
        self._id = object_id
        self._owner = owner
        if released is not None:
            self._released = released  # append is atomic
        else:
            self._released = _NOBODY
            self._check_and_count()

    def _check_and_count(self) -> None:
        if not isinstance(self._id, bytes):
            raise TypeError(f"Unsupported type: {type(self._id)}, expected bytes")
        if len(self._id) != OBJECT_ID_SIZE:
            raise ValueError(f"ID string needs to have length {OBJECT_ID_SIZE}, got {len(self._id)}")
        if _core is not None:
            _core.refs.count_by_hand(self)

    @classmethod
    def from_binary(cls, object_id: bytes) -> ObjectRef[T]:
        return cls(object_id)

    @classmethod
    def from_hex(cls, object_id: str) -> ObjectRef[T]:
        return cls(bytes.fromhex(object_id))

    @classmethod
    def from_random(cls) -> ObjectRef[T]:
        """A ref to nothing, with the id of no job's task."""
        return cls(os.urandom(OBJECT_ID_SIZE - 8) + bytes(8))

    @classmethod
    def nil(cls) -> ObjectRef[T]:
        return cls(b"\xff" * OBJECT_ID_SIZE)

    @classmethod
    def size(cls) -> int:
        """Bytes of an id."""
        return OBJECT_ID_SIZE

    def __del__(self) -> None:
        self._released.append(self._id)

    def binary(self) -> bytes:
        return self._id

    def hex(self) -> str:
        return self._id.hex()

    def is_nil(self) -> bool:
        return self._id == b"\xff" * len(self._id)

    def task_id(self) -> TaskID:
        return TaskID(self._id[:24])

    def job_id(self) -> JobID:
        return JobID(self._id[20:24])

    def call_site(self) -> str:
        """Where the object was made: "", since nobody notes it."""
        return ""

    def future(self) -> Future[T]:
        """A concurrent future of the value."""
        return _connected().values.future(self)

    def as_future(self) -> asyncio.Future[T]:
        """A future of the running event loop. Cancelling it does not cancel the task."""
        import asyncio

        return _connected().values.asyncio_future(self, asyncio.get_running_loop())

    def __await__(self) -> Generator[Any, None, T]:
        return self.as_future().__await__()

    def _on_completed(self, callback: Callable[[Any], None]) -> None:
        """Call `callback` with the value, or with the error, once it is there; on a thread of the engine."""

        def deliver(future: Future[T]) -> None:
            error = future.exception()
            callback(future.result() if error is None else error)

        self.future().add_done_callback(deliver)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._id == other._id

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        return f"ObjectRef({self._id.hex()})"

    def __reduce__(self) -> Any:
        core = _connected()
        owner = self._owner or core.address
        if capture.refs is None:  # outside of any task or put: nobody will ever tell when the copy is gone
            if not core.config.allow_out_of_band_object_ref_serialization:
                raise OufOfBandObjectRefSerializationException(
                    f"{self!r} is pickled outside of Ray, which RAY_allow_out_of_band_object_ref_serialization=0 "
                    "forbids: its object could never be freed. Pass the ref to a task or an actor, or put it."
                )
            core.refs.pin(self)
        else:
            capture.refs.append(self)
        return _restore, (self._id, owner)  # among many refs the pickle holds their owner once


def _connected() -> CoreWorker:
    if _core is None:
        raise RuntimeError("This process is not connected to a cluster. Call ray.init() first.")
    return _core


def _restore(object_id: bytes, owner: Address) -> ObjectRef[Any]:
    return _connected().refs.borrowed_ref(object_id, owner)


RESTORE = (_restore.__module__, _restore.__name__)
"""What the pickle of a ref calls, with its id and its owner."""
