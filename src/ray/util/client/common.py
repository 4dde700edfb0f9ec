"""What a client's program holds: refs, actor handles and their methods. Floor: client, thin over `worker`.

Calls return at once: until the server has answered, the id of a ref is a future. Whoever needs it waits for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from ray._core.common.ids import ActorID
from ray._core.worker.object_ref import ObjectRef
from ray._private.not_included import absent_names
from ray.util.client.settings import (
    CLIENT_SERVER_MAX_THREADS as CLIENT_SERVER_MAX_THREADS,
)
from ray.util.client.settings import (
    GRPC_OPTIONS as GRPC_OPTIONS,
)
from ray.util.client.settings import (
    OBJECT_TRANSFER_CHUNK_SIZE as OBJECT_TRANSFER_CHUNK_SIZE,
)
from ray.util.client.settings import (
    OBJECT_TRANSFER_WARNING_SIZE as OBJECT_TRANSFER_WARNING_SIZE,
)

if TYPE_CHECKING:
    from ray.util.client.worker import Worker

INT32_MAX = 2**31 - 1
T = TypeVar("T")


def _current_worker() -> Worker:
    from ray.util.client import ray as client

    return client.worker


class _Reference:
    """An id held by the server for this client, counted while this lives. Mixed into refs and actor ids.

    Args:
        id: bytes that the server handed out with this, or a future of them.
    """

    _worker: Worker
    _known: bytes | None
    _pending: Future[bytes] | None

    def _hold(self, id: bytes | Future[bytes], worker: Worker | None) -> None:
        self._worker = worker or _current_worker()
        self._known = self._pending = None
        if isinstance(id, bytes):
            self._known = id
            self._worker.refs_received(id)
        else:
            self._pending = id

    @property
    def id(self) -> bytes:
        """Waits for the server's answer to the call. Raises what the call raised on the server."""
        if self._known is None:
            assert self._pending is not None
            self._known = self._pending.result()
        return self._known

    def __del__(self) -> None:
        # The collector may come here in any thread at any point: nothing but an append to a queue.
        worker = getattr(self, "_worker", None)
        if worker is not None:
            worker.ref_dropped(self._known, self._pending)


class ClientObjectRef(_Reference, ObjectRef[T]):
    """A ref to an object that the server holds."""

    def __init__(self, id: bytes | Future[bytes], worker: Worker | None = None) -> None:
        self._hold(id, worker)

    @property
    def _id(self) -> bytes:  # type: ignore[override]
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientObjectRef) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"ClientObjectRef({self.id.hex()})"

    def future(self) -> Future[T]:
        """A concurrent future of the value."""
        future: Future[T] = Future()

        def deliver(value: Any) -> None:
            if isinstance(value, BaseException):
                future.set_exception(value)
            else:
                future.set_result(value)

        self._worker.get_async(self, deliver, raise_errors=True)
        return future

    def _on_completed(self, callback: Callable[[Any], None]) -> None:
        """Call `callback` with the value, or with the error that it is, in another thread."""
        self._worker.get_async(self, callback)

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio

        return asyncio.wrap_future(self.future()).__await__()

    def __reduce__(self) -> Any:
        raise TypeError(
            "A ClientObjectRef cannot be pickled by itself: its object is held for this client by its server. "
            "Pass it to a task, an actor or ray.put."
        )


class ClientActorRef(_Reference, ActorID):
    """The id of an actor that the server holds a handle of."""

    def __init__(self, id: bytes | Future[bytes], worker: Worker | None = None) -> None:
        self._hold(id, worker)

    @property
    def _id(self) -> bytes:  # type: ignore[override]
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientActorRef) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"ClientActorRef({self.id.hex()})"


class ClientActorHandle:
    """A handle on an actor, through the server.

    Args:
        methods: what is known of the class: its methods' signature (None: any) and number of results. None: nothing;
            the server is asked at the first look.
    """

    def __init__(self, actor_ref: ClientActorRef, methods: Mapping[str, MethodInfo] | None = None) -> None:
        self.actor_ref = actor_ref
        self._known_methods = methods

    @property
    def _actor_id(self) -> ClientActorRef:
        return self.actor_ref

    _ray_actor_id = _actor_id

    def _ray_methods(self) -> Mapping[str, MethodInfo]:
        if self._known_methods is None:
            self._known_methods = self.actor_ref._worker.class_info(self)
        return self._known_methods

    def __getattr__(self, name: str) -> ClientRemoteMethod:
        if name.startswith("_") and not name.startswith("__ray"):
            raise AttributeError(name)
        methods = self._ray_methods()
        if name not in methods:
            raise AttributeError(f"ClientActorRef has no attribute '{name}'")
        return ClientRemoteMethod(self, name, methods[name])

    def __dir__(self) -> list[str]:
        return sorted(self._ray_methods())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientActorHandle) and self.actor_ref == other.actor_ref

    def __hash__(self) -> int:
        return hash(self.actor_ref)

    def __repr__(self) -> str:
        return f"ClientActorHandle({self.actor_ref.id.hex()})"

    def __reduce__(self) -> Any:
        raise TypeError(
            "A ClientActorHandle cannot be pickled by itself: the actor is held for this client by its server. "
            "Pass it to a task, an actor or ray.put."
        )


class MethodInfo:
    """How a method is called. `check` raises TypeError for arguments that do not fit; None: not known."""

    __slots__ = ("check", "num_returns")

    def __init__(self, num_returns: Any, check: Callable[[tuple[Any, ...], Mapping[str, Any]], None] | None) -> None:
        self.num_returns = num_returns
        self.check = check

    @classmethod
    def from_parameters(cls, num_returns: Any, parameters: list[inspect.Parameter] | None) -> MethodInfo:
        """As servers tell it of handles that come from elsewhere."""
        if parameters is None:
            return cls(num_returns, None)
        signature = inspect.Signature(parameters)

        def check(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
            signature.bind(*args, **kwargs)

        return cls(num_returns, check)


class ClientRemoteMethod:
    """One method of an actor; `remote` calls it."""

    def __init__(self, handle: ClientActorHandle, name: str, info: MethodInfo, options: dict[str, Any] | None = None):
        self._handle = handle
        self.name = name
        self._info = info
        self._options = options or {}

    @property
    def actor_ref(self) -> ClientActorRef:
        return self._handle.actor_ref

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"Actor methods cannot be called directly. Instead of running 'object.{self.name}()', "
            f"try 'object.{self.name}.remote()'."
        )

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method: its ref, a list of refs, or None, as `num_returns` says."""
        if self._info.check is not None:
            self._info.check(args, kwargs)
        num_returns = self._options.get("num_returns", self._info.num_returns)
        return self._handle.actor_ref._worker.call_method(
            self._handle, self.name, args, kwargs, self._options, num_returns
        )

    def options(self, **options: Any) -> ClientRemoteMethod:
        """The same method with other options."""
        return ClientRemoteMethod(self._handle, self.name, self._info, {**self._options, **options})

    def _remote(self, args: Any = (), kwargs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        method = self.options(**options) if options else self
        return method.remote(*(args or ()), **(kwargs or {}))

    def __repr__(self) -> str:
        return f"ClientRemoteMethod({self.name}, {self._handle!r}, {self._options or None})"


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "The client's parts are built otherwise.",
        "ActorOptionWrapper ClientActorClass ClientRemoteFunc ClientServerHandle ClientSideRefID ClientStub "
        "InProgressSentinel OptionWrapper OrderedResponseCache ResponseCache remote_decorator return_refs "
        "set_task_options",
    )
