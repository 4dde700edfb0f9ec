"""What becomes of an exception of user code: `RayTaskError`, and the form in which a caller sees it.

Floor: common, pure but for the process id. `ray.get` raises `error.as_instanceof_cause()`: an exception that is both
a `RayTaskError` and an instance of the class that the user's code raised; so `except ValueError` works across
processes.
Imported by `errors.py` only; import it from there.
"""

from __future__ import annotations

import functools
import logging
import os
import pickle
from pathlib import Path
from typing import Any

from ray._core.common import by_value
from ray._core.common.errors import RayError, UnserializableException

_log = logging.getLogger("ray")
_ENGINE = tuple(str(Path(__file__).parents[2] / part) + os.sep for part in ("_core", "_private"))
"""Frames in here are ours, not the user's."""
_TASK_FIELDS = ("function_name", "traceback_str", "proctitle", "pid", "ip", "actor_repr", "_actor_id")


class RayTaskError(RayError):
    """User code of a task or method raised, or a value it needed could not be had.

    Args:
        function_name: of the task, or the method.
        traceback_str: the traceback as `traceback.format_exception` prints it.
        cause: what was raised. Of another RayTaskError its cause is taken, so that the class which user code
            raised first is the one that `as_instanceof_cause` shows.
        proctitle: `ray::f`, `ray::Class.method`.
        actor_id: in hex.
    """

    cause: BaseException

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
        while isinstance(cause, RayTaskError):
            cause = cause.cause
        super().__init__(function_name, traceback_str, cause, proctitle, pid, ip)
        self.function_name = function_name
        self.traceback_str = traceback_str
        self.cause = cause
        self.proctitle = proctitle or f"ray::{function_name}"
        self.pid = os.getpid() if pid is None else pid
        self.ip = ip or ""
        self.actor_repr = actor_repr
        self._actor_id = actor_id

    def as_instanceof_cause(self) -> RayTaskError:
        """This error as an instance of its cause's class too; itself where that cannot be."""
        kind: Any = type(self.cause)
        if issubclass(RayTaskError, kind):
            return self
        try:
            dual = _dual_class(kind)
            error: RayTaskError = _new_dual(dual, self.cause)
        except TypeError as problem:
            _log.warning(
                "The exception class %s cannot be subclassed (%s), so this error is raised as a RayTaskError only; "
                "the user's exception is its attribute `cause`.",
                kind,
                problem,
            )
            return self
        error._fill_from(self)
        return error

    def _fill_from(self, plain: RayTaskError) -> None:
        cause = plain.cause
        kind: Any = type(cause)
        for name in _native_fields(kind):
            try:
                setattr(self, name, getattr(cause, name))
            except (AttributeError, TypeError):  # read-only, or not set: the default stays
                continue
        self.__dict__.update(getattr(cause, "__dict__", {}))
        self.__dict__.update({name: getattr(plain, name) for name in _TASK_FIELDS})
        self.cause = cause
        self.args = (cause,)

    def __str__(self) -> str:
        where = f"pid={self.pid}" + (f", ip={self.ip}" if self.ip else "")
        if self.actor_repr:
            where += f", actor_id={self._actor_id}, repr={self.actor_repr}"
        title = self.proctitle if self.proctitle.startswith("ray::") else f"ray::{self.function_name}"
        lines = _user_lines(self.traceback_str.strip("\n").splitlines())
        return "\n".join([f"{title}() ({where})", *lines])

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in _TASK_FIELDS}
        is_dual = type(self) is not RayTaskError
        return _restore_task_error, (fields, _pickled_cause(self), str(self), is_dual)


RayTaskError.__module__ = "ray.exceptions"


def _user_lines(lines: list[str]) -> list[str]:
    """The traceback without its first line, which a header replaces, and without our own frames."""
    if lines and lines[0].startswith("Traceback (most recent call last)"):
        lines = lines[1:]
    kept: list[str] = []
    skipping = False
    for line in lines:
        if line.lstrip(" |+").startswith('File "'):
            path = line.split('"', 2)[1]
            skipping = path.startswith(_ENGINE)
        elif not line.startswith("    "):
            skipping = False
        if not skipping:
            kept.append(line)
    return kept


# ------------------------------------------------------------------ pickling


def _pickled_cause(error: RayTaskError) -> bytes:
    """The cause in a pickle of its own: a caller that cannot unpickle it still learns what it said."""
    try:
        return by_value.dumps(error.cause)
    except Exception as problem:
        kind = f"{type(error.cause).__module__}.{type(error.cause).__qualname__}"
        text = f"Exception {kind} isn't serializable: {problem}\nOriginal exception details:\n{error.traceback_str}"
        return pickle.dumps(RayError(text), 5)


def _restore_task_error(fields: dict[str, Any], cause_blob: bytes, text: str, is_dual: bool) -> RayError:
    try:
        cause = pickle.loads(cause_blob)
    except Exception as problem:
        return UnserializableException(f"{text}\nIt could not be unpickled here: {problem!r}")
    function_name, traceback_str, proctitle, pid, ip, actor_repr, actor_id = (fields[name] for name in _TASK_FIELDS)
    error = RayTaskError(function_name, traceback_str, cause, proctitle, pid, ip, actor_repr, actor_id)
    return error.as_instanceof_cause() if is_dual else error


# ------------------------------------------------------------------ the dual class


@functools.lru_cache(maxsize=1024)
def _dual_class(kind: type[BaseException]) -> type[Any]:
    """`RayTaskError(ValueError)`: derived from both.

    Raises:
        TypeError: the class cannot be derived from.
    """

    def delegate(self: Any, name: str) -> Any:
        # Only reached when nothing else has the attribute (slots of the cause, its __getattr__).
        if name == "cause":  # not filled yet
            raise AttributeError(name)
        return getattr(self.cause, name)

    namespace = {
        "__init__": lambda self, *args, **kwargs: None,
        "__getattr__": delegate,
        "__str__": RayTaskError.__str__,
        "__repr__": lambda self: f"{type(self).__name__}({self.cause!r})",
        "__reduce__": RayTaskError.__reduce__,
        "__module__": RayTaskError.__module__,
        "__doc__": kind.__doc__,
    }
    dual: Any = type(f"RayTaskError({kind.__name__})", (RayTaskError, kind), namespace)
    return dual  # type: ignore[no-any-return]


def _native_base(kind: type) -> type[BaseException]:
    """The first class above `kind` that the interpreter has built in; its `__new__` makes the instance."""
    for base in kind.__mro__:
        if base.__module__ == "builtins" and issubclass(base, BaseException):
            return base
    raise TypeError(f"{kind} is no exception class")  # cannot be: every exception derives from BaseException


def _new_dual(dual: type[Any], cause: BaseException) -> Any:
    native = _native_base(type(cause))
    if isinstance(cause, BaseExceptionGroup):
        return native.__new__(dual, cause.message, cause.exceptions)
    return native.__new__(dual)


@functools.lru_cache(maxsize=1024)
def _native_fields(kind: type) -> tuple[str, ...]:
    """Fields that built-in exception classes keep outside `__dict__`: errno, filename, code, value …"""
    found: list[str] = []
    for base in _native_base(kind).__mro__:
        if base in (BaseException, object):
            break
        found += [name for name, value in vars(base).items() if type(value).__name__ in _FIELD_KINDS]
    return tuple(name for name in found if not name.startswith("__"))


_FIELD_KINDS = ("member_descriptor", "getset_descriptor")
