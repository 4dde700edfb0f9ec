"""Every exception that users meet, under their public home `ray.exceptions`.

Floor: common. Facts are fields as well as text, and both survive pickling.
"""

from __future__ import annotations

import os
import pickle
from typing import Any


class RayError(Exception):
    """Base of all errors of a cluster."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__ == __name__:
            cls.__module__ = "ray.exceptions"

    def to_bytes(self) -> bytes:
        return pickle.dumps(self, 5)

    @staticmethod
    def from_bytes(data: bytes) -> RayError:
        error = pickle.loads(data)
        assert isinstance(error, RayError)
        return error

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


RayError.__module__ = "ray.exceptions"


def _rebuild(cls: type[RayError], args: tuple[Any, ...], state: dict[str, Any]) -> RayError:
    """A copy with the same args and fields; `__init__`, which made them, is not run again."""
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class RayTaskError(RayError):
    """User code of a task or method raised, or an argument of it could not be computed.

    Attributes: `function_name`, `traceback_str` (of the worker), `cause` (the user's exception), `proctitle`,
    `pid`, `ip`, `actor_repr`, `actor_id`.
    """

    def __init__(
        self,
        function_name: str,
        traceback_str: str,
        cause: BaseException,
        proctitle: str | None = None,
        pid: int | None = None,
        ip: str | None = None,
        actor_repr: str | None = None,
        actor_id: str | None = None,
    ) -> None:
        super().__init__(function_name, traceback_str, cause)
        self.function_name = function_name
        self.traceback_str = traceback_str
        self.cause = cause
        self.proctitle = proctitle or f"ray::{function_name}"
        self.pid = pid or os.getpid()
        self.ip = ip or "127.0.0.1"
        self.actor_repr = actor_repr
        self.actor_id = actor_id

    def as_instanceof_cause(self) -> RayTaskError:
        """An exception that is both this and of the cause's class, so that `except ValueError` catches it."""
        cause_class = type(self.cause)
        if isinstance(self, cause_class) or not issubclass(cause_class, Exception):
            return self
        try:
            dual: RayTaskError = _dual_class(cause_class)(self)
            return dual
        except TypeError:  # a class that allows no subclass, or whose layout clashes: the plain error says as much
            return self

    def __str__(self) -> str:
        actor = f", actor_id={self.actor_id}, repr={self.actor_repr}" if self.actor_id else ""
        return f"{self.proctitle}() (pid={self.pid}, ip={self.ip}{actor})\n{self.traceback_str}"


def _dual_class(cause_class: type[Exception]) -> Any:
    """The class "RayTaskError(Cause)" which derives from both."""

    def __init__(self: Any, error: RayTaskError) -> None:
        self.__dict__.update(error.__dict__)
        self.args = (error.cause,)

    def __getattr__(self: Any, name: str) -> Any:
        if name == "cause":
            raise AttributeError(name)
        return getattr(self.cause, name)

    members = {
        "__init__": __init__,
        "__getattr__": __getattr__,
        "__str__": RayTaskError.__str__,
        "__reduce__": lambda self: (_dual, (self.function_name, self.traceback_str, self.cause, self.pid, self.ip)),
    }
    return type(f"RayTaskError({cause_class.__name__})", (RayTaskError, cause_class), members)


def _dual(function_name: str, traceback_str: str, cause: BaseException, pid: int, ip: str) -> RayError:
    return RayTaskError(function_name, traceback_str, cause, pid=pid, ip=ip).as_instanceof_cause()


class WorkerCrashedError(RayError):
    """The worker process of a task ended before the task did, and no retry is left."""


class TaskCancelledError(RayError):
    """The task was cancelled."""


class GetTimeoutError(RayError, TimeoutError):
    """`ray.get(timeout=…)` passed before the objects were there."""


class RaySystemError(RayError):
    """The cluster failed, or is not there."""


class AuthenticationError(RayError):
    """The token is missing or wrong."""


class ObjectStoreFullError(RayError):
    """The value does not fit into the object store."""


class UnserializableException(RayError):
    """An exception arrived that could not be unpickled; the text tells which."""


class ObjectLostError(RayError):
    """The value is gone and cannot be made again. Attribute: `object_ref_hex`."""

    def __init__(self, object_ref_hex: str, message: str) -> None:
        super().__init__(f"Object {object_ref_hex} is lost: {message}")
        self.object_ref_hex = object_ref_hex


class OwnerDiedError(ObjectLostError):
    """The process that owned the object has ended, and its values with it."""


class LocalRayletDiedError(RayError):
    """The node's raylet ended under the task."""


class TaskUnschedulableError(RayError):
    """No node may ever run this task."""
