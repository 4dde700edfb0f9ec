"""Every exception that users meet, under Ray's names; `ray.exceptions` re-exports them.

Floor: common, pure. Raised and stored by all rooms; each survives pickling with its fields, since most are made in
one process and raised in another. What becomes of an exception of user code is in `task_error.py`.
"""

from __future__ import annotations

import pickle
from typing import Any

_PUBLIC = "ray.exceptions"
"""Where users import these from; their pickles and tracebacks name it."""


class RayError(Exception):
    """Base of all of Ray's exceptions."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("ray._core."):
            cls.__module__ = _PUBLIC

    def __reduce__(self) -> tuple[Any, ...]:
        # Not through __init__, whose parameters differ from `args` in most subclasses.
        return _restore, (type(self), self.args, dict(self.__dict__))

    def to_bytes(self) -> bytes:
        return pickle.dumps(self, 5)

    @staticmethod
    def from_bytes(data: bytes) -> RayError:
        """The error that `to_bytes` wrote."""
        error = pickle.loads(data)
        if not isinstance(error, RayError):
            raise TypeError(f"These bytes hold a {type(error).__name__}, not a RayError.")
        return error


RayError.__module__ = _PUBLIC


def _restore(cls: type[RayError], args: tuple[Any, ...], fields: dict[str, Any]) -> RayError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(fields)
    return error


class _SaysText(RayError):
    """An error whose only field is its text, under the name `_field`; `_prefix` goes before it."""

    _field = "message"
    _prefix = ""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        setattr(self, self._field, message)

    def __str__(self) -> str:
        return f"{self._prefix}{self.args[0]}"


class _SaysAlways(RayError):
    """An error that needs no arguments: its class says what happened, `args` may add details."""

    _text = ""

    def __str__(self) -> str:
        details = " ".join(str(arg) for arg in self.args)
        return f"{self._text} {details}".strip()


# ------------------------------------------------------------------ tasks


class TaskCancelledError(RayError):
    """The task was cancelled; its result will never exist."""

    def __init__(self, task_id: Any = None, error_message: str | None = None) -> None:
        super().__init__(*(part for part in (task_id, error_message) if part is not None))
        self.task_id = task_id
        self.error_message = error_message

    def __str__(self) -> str:
        which = f"Task: {self.task_id} was cancelled." if self.task_id is not None else "The task was cancelled."
        return f"{which} {self.error_message}" if self.error_message else which


class TaskTimeoutError(RayError, TimeoutError):
    """The call did not end within its `timeout=`, which counts from its submission.

    `task_id` in hex; `timeout_s` as the option said; `spent`: seconds by where they went, as the text tells them.
    """

    def __init__(
        self, message: str, *, task_id: str = "", timeout_s: float = 0.0, spent: dict[str, float] | None = None
    ) -> None:
        super().__init__(message)
        self.task_id = task_id
        self.timeout_s = timeout_s
        self.spent = spent or {}

    __reduce__ = RayError.__reduce__


class WorkerCrashedError(_SaysAlways):
    """The worker process of a task died and its retries are used up."""

    _text = (
        "The worker died unexpectedly while executing this task, by a crash or because the code ended the process. "
        "Its output is in the worker-* files of the session's log directory."
    )


class LocalRayletDiedError(_SaysAlways):
    """The node daemon under the task died."""

    _text = (
        "The task's local raylet died. Check raylet.out and raylet.err in the session's log directory "
        "for more information."
    )


class NodeDiedError(_SaysText):
    """A node is dead or cannot be reached."""

    message: str


class OutOfMemoryError(_SaysText):
    """The memory monitor killed the task or actor, and no retry is left."""

    message: str


class TaskPlacementGroupRemoved(_SaysAlways):
    """The group was removed before the task ended."""

    _text = "The placement group corresponding to this task has been removed."


class ActorPlacementGroupRemoved(_SaysAlways):
    """The group of the actor was removed."""

    _text = "The placement group corresponding to this Actor has been removed."


class TaskUnschedulableError(_SaysText):
    """The task's scheduling strategy can never be met."""

    _field = "error_message"
    _prefix = "The task is not schedulable: "
    error_message: str


class ActorUnschedulableError(_SaysText):
    """The actor's scheduling strategy can never be met."""

    _field = "error_message"
    _prefix = "The actor is not schedulable: "
    error_message: str


class RuntimeEnvSetupError(RayError):
    """A runtime environment could not be built, or not in time."""

    def __init__(self, error_message: str | None = None) -> None:
        super().__init__(*([error_message] if error_message else []))
        self.error_message = error_message

    def __str__(self) -> str:
        text = "Failed to set up runtime environment."
        return f"{text}\n{self.error_message}" if self.error_message else text


class PendingCallsLimitExceeded(RayError):
    """`.remote()` would exceed the actor's max_pending_calls."""


class UserCodeException(RayError):
    """Libraries wrap an exception of user code in this; `retry_exceptions` looks at its cause."""


class UnserializableException(RayError):
    """An exception arrived that could not be unpickled here; this is its text."""

    def __init__(self, original_stack_trace: str) -> None:
        super().__init__(original_stack_trace)
        self._original_stack_trace = original_stack_trace

    def __str__(self) -> str:
        return (
            "Failed to deserialize exception. (An exception class whose __init__ takes other "
            "arguments than it hands to super().__init__ needs a __reduce__.)\n"
            f"Original exception:\n{self._original_stack_trace}"
        )


class CrossLanguageError(RayError):
    """Raised by Java or C++ code."""

    def __init__(self, ray_exception: Any) -> None:
        text = getattr(ray_exception, "formatted_exception_string", None) or str(ray_exception)
        super().__init__(f"An exception raised by code in another language:\n{text}")


# ------------------------------------------------------------------ actors


class RayActorError(RayError):
    """Something happened to an actor. `actor_id` is its id in hex, None when unknown."""

    _default = "The actor experienced an error before finishing this task."

    def __init__(
        self,
        actor_id: str | None = None,
        error_msg: str | None = None,
        actor_init_failed: bool = False,
        preempted: bool = False,
    ) -> None:
        text = self._default if error_msg is None else error_msg
        super().__init__(text)
        self.actor_id = actor_id
        self.error_msg = text
        self._actor_init_failed = actor_init_failed
        self._preempted = preempted

    @property
    def preempted(self) -> bool:
        """Whether its node was pre-empted (taken away by the provider)."""
        return self._preempted

    @property
    def actor_init_failed(self) -> bool:
        """Whether its constructor raised."""
        return self._actor_init_failed

    def __str__(self) -> str:
        return self.error_msg


class ActorDiedError(RayActorError):
    """The actor is dead for good.

    Args:
        cause: text of what ended it, or the `RayTaskError` that its constructor raised.
        reason: the kind of death in a word (KILLED, OUT_OF_SCOPE, WORKER_DIED …).
    """

    _default = "The actor died unexpectedly before finishing this task."

    def __init__(
        self,
        cause: Any = None,
        *,
        actor_id: str = "",
        class_name: str = "",
        name: str = "",
        namespace: str = "",
        pid: int = 0,
        ip: str = "",
        reason: str = "",
        preempted: bool = False,
        actor_init_failed: bool = False,
    ) -> None:
        raised = isinstance(cause, BaseException)
        if raised and not actor_id:
            actor_id = getattr(cause, "_actor_id", None) or ""
        facts = {
            "class_name": class_name,
            "actor_id": actor_id,
            "pid": pid,
            "name": name,
            "namespace": namespace,
            "ip": ip,
        }
        if raised:
            text = f"The actor died because of an error raised in its creation task, {cause}"
        else:
            lines = [self._default, *(f"\t{key}: {value}" for key, value in facts.items() if value)]
            text = "\n".join([*lines, str(cause)] if cause else lines)
        super().__init__(actor_id or None, text, actor_init_failed or raised, preempted)
        self.class_name = class_name
        self.name = name
        self.namespace = namespace
        self.pid = pid
        self.ip = ip
        self.reason = reason


class ActorUnavailableError(RayActorError):
    """The actor restarts or cannot be reached now; the call may or may not have run."""

    def __init__(self, error_message: str, actor_id: bytes | str | None = None) -> None:
        hex_id = actor_id.hex() if isinstance(actor_id, bytes) else actor_id
        super().__init__(
            hex_id,
            f"The actor {hex_id or ''} is unavailable: {error_message}. "
            "The task may or may not have been executed on the actor.",
        )


class ActorAlreadyExistsError(ValueError, RayError):
    """Another living actor of the namespace has this name."""

    def __init__(self, error_message: str) -> None:
        super().__init__(error_message)
        self.error_message = error_message

    __reduce__ = RayError.__reduce__


class ActorHandleNotFoundError(ValueError, RayError):
    """The handle is of an older session or of another cluster."""

    def __init__(self, error_message: str) -> None:
        super().__init__(error_message)
        self.error_message = error_message

    __reduce__ = RayError.__reduce__


class AsyncioActorExit(RayError):
    """How `exit_actor` leaves the code of an asyncio actor; never seen by callers."""


# ------------------------------------------------------------------ objects


class GetTimeoutError(RayError, TimeoutError):
    """`ray.get(…, timeout=…)`: the time passed and the value is not there."""

    __reduce__ = RayError.__reduce__


class ObjectStoreFullError(_SaysAlways):
    """A value does not fit into the object store, after spilling."""

    _text = (
        "The local object store is full of objects that are still in use. `ray memory` lists them; drop refs and "
        "views that are no longer needed, or start the node with a larger object_store_memory."
    )


class OutOfDiskError(_SaysAlways):
    """The object store is full and so is the disk it spills to."""

    _text = (
        "The local object store is full, and the disk it spills to is above its limit (95 % by default). `df` shows "
        "the disk's use, `ray memory` the objects'."
    )


class PlasmaObjectNotAvailable(RayError):
    """A read of the object store timed out (internal)."""


class ObjectRefStreamEndOfStreamError(RayError):
    """A generator's stream has ended (internal)."""


class OufOfBandObjectRefSerializationException(RayError):
    """A ref was pickled outside of Ray while that is forbidden. (The spelling is Ray's.)"""


class ObjectLostError(RayError):
    """The value is gone and cannot be made again. `detail`: what is known beyond the class's own words."""

    _why = "All copies of it have been lost due to node failure."

    def __init__(
        self, object_ref_hex: str, owner_address: Any = None, call_site: str = "", *, detail: str = ""
    ) -> None:
        super().__init__(object_ref_hex, owner_address, call_site)
        self.object_ref_hex = object_ref_hex
        self.owner_address = owner_address
        self.call_site = call_site
        self.detail = detail

    def __str__(self) -> str:
        where = f" (its ref was created at: {self.call_site})" if self.call_site else ""
        text = f"Failed to retrieve object {self.object_ref_hex}{where}. {self._why}"
        return f"{text} {self.detail}" if self.detail else text


class ObjectFetchTimedOutError(ObjectLostError):
    """No location of the object answered in time."""

    _why = "No node that should hold a copy answered in time."


class ReferenceCountingAssertionError(ObjectLostError, AssertionError):
    """The object was freed while a reference to it existed: a bug of ours, or a ref that was smuggled past Ray."""

    _why = "It was already deleted by reference counting. This should not happen: please report it."
    __reduce__ = RayError.__reduce__


class ObjectFreedError(ObjectLostError):
    """The object was freed by the internal free call."""

    _why = "It was freed by an explicit `free` call. Call `free` only once the object is no longer needed."


class OwnerDiedError(ObjectLostError):
    """The process that created the ref is gone, and with it the object."""

    _why = (
        "The object's owner has exited. This is the process that called `.remote()` or `ray.put()`. "
        "Its output is in the session's log directory."
    )


class ObjectReconstructionFailedError(ObjectLostError):
    """The object is lost and its task cannot be run again. `reason` is a word, `reason_message` the explanation."""

    def __init__(
        self,
        object_ref_hex: str,
        reason: Any = None,
        reason_message: str | None = None,
        owner_address: Any = None,
        call_site: str = "",
    ) -> None:
        super().__init__(object_ref_hex, owner_address, call_site)
        self.reason = reason
        self.reason_message = reason_message

    @property
    def _why(self) -> str:  # type: ignore[override]
        kind = f"[{self.reason}] " if self.reason else ""
        return f"It is lost and cannot be made again: {kind}{self.reason_message or 'the reason is not known.'}"


class ObjectReconstructionFailedMaxAttemptsExceededError(ObjectReconstructionFailedError):
    """Ray 2.0's name for: the producing task has used up its retries."""


class ObjectReconstructionFailedLineageEvictedError(ObjectReconstructionFailedError):
    """Ray 2.0's name for: what made the object was forgotten, RAY_max_lineage_bytes being reached."""


# ------------------------------------------------------------------ system


class RaySystemError(RayError):
    """Ray itself failed, or was used before it was started."""

    def __init__(self, client_exc: Any, traceback_str: str | None = None) -> None:
        super().__init__(*(part for part in (client_exc, traceback_str) if part is not None))
        self.client_exc = client_exc
        self.traceback_str = traceback_str

    def __str__(self) -> str:
        text = f"System error: {self.client_exc}"
        return f"{text}\ntraceback: {self.traceback_str}" if self.traceback_str else text


class RayChannelError(RaySystemError):
    """A channel of a compiled graph is broken or closed."""


class RayChannelTimeoutError(RayChannelError, TimeoutError):
    """A channel of a compiled graph took too long."""

    __reduce__ = RayError.__reduce__


class RayCgraphCapacityExceeded(RaySystemError):
    """Too many executions of a compiled graph are in flight."""


class RayDirectTransportError(RaySystemError):
    """A tensor transport failed."""


class StreamingGeneratorReplayInconsistentError(RaySystemError):
    """A generator that was run again gave another number of items."""


class AuthenticationError(_SaysText):
    """The cluster's token is missing or wrong."""

    message: str

    def __str__(self) -> str:
        return (
            f"{self.message.rstrip('.')}. The token comes from RAY_AUTH_TOKEN, the file RAY_AUTH_TOKEN_PATH or "
            "~/.ray/auth_token; `ray get-auth-token` on the head prints it."
        )


class RpcError(RayError):
    """A request to another process failed on its way."""

    def __init__(self, message: str, rpc_code: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.rpc_code = rpc_code

    def __str__(self) -> str:
        return self.message


from ray._core.common.task_error import RayTaskError as RayTaskError  # noqa: E402 - its base is above
