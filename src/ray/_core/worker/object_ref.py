"""What users hold: a reference to an object that exists or will.

Floor: worker. A ref knows its id and its owner; everything else is the core worker's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ray._core.common.ids import JobID, TaskID
from ray._core.common.messages import Address
from ray._core.store.serialization import capture

if TYPE_CHECKING:
    from collections.abc import Generator
    from concurrent.futures import Future

    from ray._core.worker.core import CoreWorker

T = TypeVar("T")
_core: CoreWorker | None = None
"""The process's core worker; set by `core` when it connects, None otherwise."""


class ObjectRef(Generic[T]):
    """A reference to one object. `ray.get(ref)` gives its value; passing it on passes the object.

    The object lives as long as any ref to it does, anywhere in the cluster.
    """

    __slots__ = ("__weakref__", "_id", "_owner", "_released")

    def __init__(self, object_id: bytes, owner: Address | None, released: Any) -> None:
        self._id = object_id
        self._owner = owner
        self._released = released  # deque of the core worker that counts this ref; append is atomic

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

    def future(self) -> Future[T]:
        """A concurrent future of the value."""
        return _connected().future(self)

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio

        return asyncio.wrap_future(self.future()).__await__()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._id == other._id

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        return f"ObjectRef({self._id.hex()})"

    def __reduce__(self) -> Any:
        core = _connected()
        owner = self._owner or core.address
        if capture.refs is None:
            core.pin(self)  # pickled outside of any task or put: nobody will ever tell when the copy is gone
        else:
            capture.refs.append(self)
        return _restore, (self._id, owner.node_id, owner.worker_id, owner.host, owner.port, owner.path)


def _connected() -> CoreWorker:
    if _core is None:
        raise RuntimeError("This process is not connected to a cluster. Call ray.init() first.")
    return _core


def _restore(object_id: bytes, *owner: Any) -> ObjectRef[Any]:
    return _connected().borrowed_ref(object_id, Address(*owner))
