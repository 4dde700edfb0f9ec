"""Values to bytes on the client's side, with stubs for refs, handles and methods. Floor: client, pure.

Neither side can use the other's refs, so they travel as pickle's persistent ids, which are `PickleStub`s. Their class
is pickled by its name, hence its home here and the order of its fields: both are Ray's.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

from ray import cloudpickle
from ray._private.not_included import absent_names

if TYPE_CHECKING:
    from ray.util.client.worker import Worker


class PickleStub(NamedTuple):
    """What stands in a pickle for something that only lives on one side."""

    type: str
    """"Object", "Actor", "RemoteMethod" or "Ray"; original clients also send "RemoteFunc" and "RemoteActor"."""
    client_id: str
    ref_id: bytes
    name: str | None
    """Of the method."""
    baseline_options: dict[str, Any] | None


class _ClientPersistence:
    """`persistent_id` of the client's picklers."""

    client_id: str
    has_stubs = False
    """Whether the pickle is of use only to this client's server."""

    def persistent_id(self, value: Any) -> PickleStub | None:
        stub = self._stub(value)
        self.has_stubs |= stub is not None
        return stub

    def _stub(self, value: Any) -> PickleStub | None:
        from ray.util.client.common import ClientActorHandle, ClientObjectRef, ClientRemoteMethod

        if isinstance(value, ClientObjectRef):
            return PickleStub("Object", self.client_id, value.id, None, None)
        if isinstance(value, ClientActorHandle):
            return PickleStub("Actor", self.client_id, value._actor_id.id, None, None)
        if isinstance(value, ClientRemoteMethod):
            return PickleStub("RemoteMethod", self.client_id, value.actor_ref.id, value.name, None)
        return None


class _QuickPickler(_ClientPersistence, pickle.Pickler):
    pass


class _CodePickler(_ClientPersistence, cloudpickle.CloudPickler):  # type: ignore[misc]
    pass


class _PicklerForOriginal(_CodePickler):
    """For original servers: names only what they have."""

    def reducer_override(self, value: Any) -> Any:
        from ray.util.client import to_original

        reduced = to_original.reduce_for_original(value)
        return super().reducer_override(value) if reduced is NotImplemented else reduced


def dumps_from_client(value: Any, client_id: str, *, for_original: bool = False) -> bytes:
    """Pickle a value for the server. Raises whatever the pickler raises for what cannot be pickled."""
    classes = (_PicklerForOriginal, _PicklerForOriginal) if for_original else (_QuickPickler, _CodePickler)
    data, _ = dump_with(classes, value, None, client_id=client_id)
    return data


def dumps_out_of_band(value: Any, client_id: str) -> tuple[bytes, list[memoryview], bool]:
    """For our servers: the pickle, its buffers, and whether it has stubs."""
    buffers: list[Any] = []
    data, pickler = dump_with((_QuickPickler, _CodePickler), value, buffers.append, client_id=client_id)
    return data, [buffer.raw() for buffer in buffers], pickler.has_stubs


def dump_with(classes: tuple[Any, Any], value: Any, buffer_callback: Any, **attributes: Any) -> tuple[bytes, Any]:
    """Pickle with the first class, or with the second when the pickle names `__main__` or the first cannot.

    Args:
        classes: a C pickler, and a cloudpickle that pickles code by value; the first is 5 times as fast.
        attributes: of the pickler.
    Returns:
        The pickle, and the pickler that made it.
    """
    for pickler_class in classes:
        file, buffers = io.BytesIO(), list[Any]()
        pickler = pickler_class(file, protocol=5, buffer_callback=buffer_callback and buffers.append)
        for name, attribute in attributes.items():
            setattr(pickler, name, attribute)
        try:
            pickler.dump(value)
        except Exception:
            if pickler_class is classes[-1]:
                raise
            continue
        data = file.getvalue()
        if pickler_class is classes[-1] or b"__main__" not in data:
            break
    for buffer in buffers:
        buffer_callback(buffer)
    return data, pickler


class ClientUnpickler(pickle.Unpickler):
    """Reads what the server pickled; stubs become refs and handles of `worker`."""

    worker: Worker

    def persistent_load(self, pid: Any) -> Any:
        from ray.util.client.common import ClientActorHandle, ClientActorRef, ClientObjectRef

        stub = PickleStub(*pid)
        if stub.type == "Object":
            return ClientObjectRef(stub.ref_id, worker=self.worker)
        if stub.type == "Actor":
            return ClientActorHandle(ClientActorRef(stub.ref_id, worker=self.worker))
        raise pickle.UnpicklingError(
            f"The server sent a stub of type {stub.type!r}, which this client does not know. "
            "Use the same version of Ray on both sides."
        )


def loads_from_server(data: Any, worker: Worker, buffers: Any = None) -> Any:
    """The value that the server pickled."""
    unpickler = ClientUnpickler(io.BytesIO(data), buffers=buffers)
    unpickler.worker = worker
    return unpickler.load()


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "ClientPickler ServerUnpickler convert_to_arg",
    )
