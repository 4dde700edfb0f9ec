"""Remote functions and actor classes as original clients pickle them. Floor: client, pure.

A function that names a remote function, or a class that names an actor class, brings it along in its pickle: as an
object of the original's class, with that class's fields. From these fields ours are made. All else that such a pickle
names of the original's modules serves tracing and is dropped with the wrapper that it is part of.
"""

from __future__ import annotations

import copyreg
import importlib
import operator
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ray._private.actor_class import METHOD_OPTIONS_KEY
from ray.actor import ActorClass, _restore_class
from ray.exceptions import RayError, RayTaskError
from ray.remote_function import RemoteFunction


class _Opaque:
    """Stands for something of the original that nobody here will look at."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return object.__new__(cls)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("This part of an original client's pickle cannot be used here.")

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, Mapping):
            self.__dict__.update(state)


class _OriginalFunction(RemoteFunction):
    """Unpickled from an original RemoteFunction: `__new__` and then its fields."""

    def __init__(self) -> None:
        """Not called by unpickling; `__setstate__` does its work."""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        RemoteFunction.__init__(self, state["_function"], _given(state["_default_options"]))

    def options(self, **options: Any) -> RemoteFunction:
        return RemoteFunction(self._function, self._default_options).options(**options)


class _OriginalActorClass:
    """The base of each original actor class, whose instance stands for the class itself."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return object.__new__(_UnpickledActorClass)


class _UnpickledActorClass(ActorClass[Any]):
    def __init__(self) -> None:
        """Not called by unpickling; `__setstate__` does its work."""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        user_class = state["__ray_metadata__"].modified_class.__mro__[1]
        adopt_methods(user_class)
        self.__dict__.update(_restore_class(user_class, _given(state.get("_default_options") or {})).__dict__)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _submodule(name: str) -> ModuleType:
    """A module that a function may use. The original's own, which only its wrappers use, are empty."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        if name.startswith("ray."):
            return ModuleType(name)
        raise


_OURS: dict[tuple[str, str], Any] = {
    ("ray.remote_function", "RemoteFunction"): _OriginalFunction,
    ("ray.actor", "ActorClass"): _OriginalActorClass,
    ("ray.cloudpickle.cloudpickle", "subimport"): _submodule,
}
_DROPPED = {
    "ray.util.tracing.tracing_helper": None,
    "ray._raylet": ("Language", "PythonFunctionDescriptor", "ActorClassID"),
    "ray.actor": ("_ActorClassMetadata", "_ActorClassMethodMetadata"),
    "ray.util.annotations": ("AnnotationType",),
}
"""Names by module; None: all."""


def find_class(module: str, name: str) -> Any:
    """What a pickle of an original client means by this name; None for everything that is the same here."""
    if (module, name) in _OURS:
        return _OURS[module, name]
    names = _DROPPED.get(module, ())
    return _Opaque if names is None or name in names else None


_METHOD_OPTIONS = {
    "__ray_num_returns__": "num_returns",
    "__ray_concurrency_group__": "concurrency_group",
    "__ray_max_task_retries__": "max_task_retries",
    "__ray_retry_exceptions__": "retry_exceptions",
    "__ray_enable_task_events__": "enable_task_events",
    "__ray_generator_backpressure_num_objects__": "_generator_backpressure_num_objects",
}
"""Where the original's `@ray.method` leaves its options on the function, one by one."""


def adopt_methods(cls: type) -> None:
    """Make the options of an original client's class, which are on its methods, ours."""
    for function in vars(cls).values():
        fields = getattr(function, "__dict__", {})
        options = {ours: fields[theirs] for theirs, ours in _METHOD_OPTIONS.items() if theirs in fields}
        if options:
            setattr(function, METHOD_OPTIONS_KEY, options)


# ------------------------------------------------------------------ to original clients


def reduce_error(error: RayError) -> Any:
    """How an original client can unpickle an error of ours: by the public classes and their fields."""
    if not isinstance(error, RayTaskError):
        return copyreg.__newobj__, (type(error), *error.args), dict(error.__dict__)  # type: ignore[attr-defined]
    if type(error) is not RayTaskError:
        return operator.methodcaller("as_instanceof_cause"), (_plain(error),)
    return RayTaskError, (
        error.function_name,
        str(error),
        error.cause,
        error.proctitle,
        error.pid,
        error.ip,
        error.actor_repr,
        error._actor_id,
    )


def _plain(error: RayTaskError) -> RayTaskError:
    """The error without its cause's class, which each side derives for itself."""
    return RayTaskError(
        error.function_name,
        error.traceback_str,
        error.cause,
        error.proctitle,
        error.pid,
        error.ip,
        error.actor_repr,
        error._actor_id,
    )
