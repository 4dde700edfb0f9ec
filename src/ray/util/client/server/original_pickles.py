"""Remote functions and actor classes as original clients pickle them. Floor: client, pure.

A function that names a remote function, or a class that names an actor class, brings it along in its pickle: as an
object of the original's class, with that class's fields. From these fields ours are made. All else that such a pickle
names of the original's modules serves tracing and is dropped with the wrapper that it is part of.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any

from ray._core.common.ids import PlacementGroupID
from ray._private.actor_class import METHOD_OPTIONS_KEY
from ray.actor import ActorClass, _restore_class
from ray.remote_function import RemoteFunction
from ray.util.client.to_original import METHOD_ATTRIBUTES
from ray.util.placement_group import PlacementGroup


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


def _placement_group_ready(pg_id: PlacementGroupID, timeout_seconds: float) -> bool:
    return PlacementGroup(pg_id).wait(timeout_seconds)


_OURS: dict[tuple[str, str], Any] = {
    ("ray.util.placement_group", "_call_placement_group_ready"): _placement_group_ready,
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
    is_dropped = names is None or name in names or (name.startswith("_") and _of_ours(module, name) is None)
    return _Opaque if is_dropped else None


def _of_ours(module: str, qualified_name: str) -> Any:
    try:
        return operator.attrgetter(qualified_name)(importlib.import_module(module))
    except (ImportError, AttributeError):
        return None


def of_this_package(target: Any) -> Any:
    """What a client sent for calling it here; of the original's own functions, which it sends by value, ours."""
    module = getattr(target, "__module__", None) or ""
    if not isinstance(target, FunctionType) or not module.startswith("ray."):
        return target
    return _OURS.get((module, target.__qualname__)) or _of_ours(module, target.__qualname__) or target


def adopt_methods(cls: type) -> None:
    """Make the options of an original client's class, which are on its methods, ours."""
    for function in vars(cls).values():
        fields = getattr(function, "__dict__", {})
        options = {ours: fields[theirs] for ours, theirs in METHOD_ATTRIBUTES.items() if theirs in fields}
        if options:
            setattr(function, METHOD_OPTIONS_KEY, options)
