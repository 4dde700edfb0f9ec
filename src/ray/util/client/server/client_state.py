"""What a server holds for one client, and its values to bytes and back. Floor: client, pure but for the public API."""

from __future__ import annotations

import io
import pickle
import threading
import traceback
from typing import TYPE_CHECKING, Any

from ray import cloudpickle
from ray._core.worker.object_ref import ObjectRef
from ray.actor import ActorHandle
from ray.util.client import to_original
from ray.util.client.client_pickler import PickleStub, dump_with
from ray.util.client.references import HandedOut
from ray.util.client.response_cache import StreamCache, ThreadCache
from ray.util.client.server import original_pickles

if TYPE_CHECKING:
    from ray.util.client.server.bulk_server import Connection


class ClientState:
    """One client's objects, actors and functions. `lock` guards the tables: its calls come on several threads.

    Args:
        counted: the client returns an id as often as it got it (see `references`).
    """

    def __init__(self, client_id: str, *, counted: bool) -> None:
        self.client_id = client_id
        self.is_original = not counted
        """Whether it is a client of the original Ray, which pickles remote functions in its own way."""
        self.lock = threading.RLock()
        self.objects: HandedOut[Any] = HandedOut(counted=counted)
        self.actors: HandedOut[Any] = HandedOut(counted=counted)
        self.aliases: dict[bytes, bytes] = {}
        """Ids that the client chose for its puts (`client_ref_id`), to the real ones."""
        self.remotes: dict[tuple[bytes, bytes, bytes], Any] = {}
        """Remote functions and actor classes by (payload id, options, baseline options), as they came pickled."""
        self.bulk: Connection | None = None
        """Its bulk connection, once it has made one; perhaps broken since."""
        self.unary: ThreadCache[bytes] = ThreadCache()
        self.stream: StreamCache[Any] = StreamCache()

    # ---------------------------------------------------------- tables

    def hand_out_ref(self, ref: ObjectRef[Any]) -> bytes:
        """The client is about to be told this ref's id."""
        key = ref.binary()
        with self.lock:
            self.objects.hand_out(key, ref)
        return key

    def hand_out_actor(self, handle: ActorHandle[Any]) -> bytes:
        key = handle._actor_id.binary()
        keeps_alive = handle._ray_state.ref is not None  # one that was found by name does not, and must not stand alone
        with self.lock:
            self.actors.hand_out(key, handle, replace=keeps_alive)
        return key

    def ref(self, key: bytes) -> ObjectRef[Any]:
        """Raises ValueError when this server does not hold it for the client."""
        with self.lock:
            ref = self.objects.get(self.aliases.get(key, key))
        if ref is None:
            raise ValueError(
                f"The Ray Client server holds no object {key.hex()} for this client: it was released, or it belongs to "
                "another session."
            )
        return ref  # type: ignore[no-any-return]

    def actor(self, key: bytes) -> ActorHandle[Any]:
        """Raises ValueError when this server does not hold it for the client."""
        with self.lock:
            handle = self.actors.get(key)
        if handle is None:
            raise ValueError(
                f"The Ray Client server holds no actor {key.hex()} for this client: it was released, or it belongs to "
                "another session."
            )
        return handle  # type: ignore[no-any-return]

    def release(self, key: bytes) -> bool:
        """The client returns an id. Whether this server held it."""
        with self.lock:
            for table in (self.objects, self.actors):
                if key in table:
                    gone = table.take_back(key)  # noqa: F841 - the last ref ends outside of the lock
                    break
            else:
                return False
        return True

    def release_all(self) -> None:
        if self.bulk is not None:
            self.bulk.close()
        with self.lock:
            self.objects.clear()
            self.actors.clear()
            self.remotes.clear()
            self.aliases.clear()

    # ---------------------------------------------------------- values

    def dumps(self, value: Any, buffer_callback: Any = None) -> bytes:
        """Pickle for the client. Refs and handles inside are handed out."""
        classes = (_OriginalPickler, _OriginalPickler) if self.is_original else (_QuickPickler, _CodePickler)
        data, pickler = dump_with(classes, value, buffer_callback, client_id=self.client_id)
        for item in pickler.met:
            self.hand_out_ref(item) if isinstance(item, ObjectRef) else self.hand_out_actor(item)
        return data

    def dump_error(self, error: BaseException) -> bytes:
        """For the client, who raises it. An exception that cannot be pickled becomes one with its text."""
        try:
            return self.dumps(error)
        except Exception as problem:
            text = "".join(traceback.format_exception(error))
            return pickle.dumps(RuntimeError(f"{text}\n(The exception itself cannot be pickled: {problem})"))

    def loads(self, data: Any, buffers: Any = None) -> Any:
        """The value that the client pickled, with refs and handles of this process where it has stubs."""
        unpickler = _ServerUnpickler(io.BytesIO(data), buffers=buffers)
        unpickler.client = self
        return unpickler.load()


class _ServerPersistence:
    """`persistent_id` of the server's picklers; `met` gets the refs and handles that are to be handed out."""

    client_id: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.met: list[Any] = []

    def persistent_id(self, value: Any) -> PickleStub | None:
        if isinstance(value, ObjectRef):
            self.met.append(value)
            return PickleStub("Object", self.client_id, value.binary(), None, None)
        if isinstance(value, ActorHandle):
            self.met.append(value)
            return PickleStub("Actor", self.client_id, value._actor_id.binary(), None, None)
        return None


class _QuickPickler(_ServerPersistence, pickle.Pickler):
    pass


class _CodePickler(_ServerPersistence, cloudpickle.CloudPickler):  # type: ignore[misc]
    pass


class _OriginalPickler(_CodePickler):
    """For original clients: names only what they have."""

    def reducer_override(self, value: Any) -> Any:
        reduced = to_original.reduce_for_original(value)
        return super().reducer_override(value) if reduced is NotImplemented else reduced


class _ServerUnpickler(pickle.Unpickler):
    client: ClientState

    def find_class(self, module: str, name: str) -> Any:
        found = original_pickles.find_class(module, name) if self.client.is_original and module[:4] == "ray." else None
        return super().find_class(module, name) if found is None else found

    def persistent_load(self, pid: Any) -> Any:
        stub = PickleStub(*pid)
        match stub.type:
            case "Ray":
                import ray

                return ray
            case "Object":
                return self.client.ref(stub.ref_id)
            case "Actor":
                return self.client.actor(stub.ref_id)
            case "RemoteMethod":
                return getattr(self.client.actor(stub.ref_id), stub.name or "")
        raise pickle.UnpicklingError(
            f"The client sent a stub of type {stub.type!r}, which this server does not know. "
            "Use the same version of Ray on both sides."
        )
