"""Values of ours as an original Ray can unpickle them: by its public names. Floor: client, pure.

Used by our server for original clients, and by our client for original servers.
"""

from __future__ import annotations

import copyreg
import functools
import importlib
import operator
from collections.abc import Mapping
from typing import Any

import cloudpickle

from ray._core.common.ids import BaseID
from ray._private.actor_class import METHOD_OPTIONS_KEY
from ray.actor import ActorClass
from ray.exceptions import RayError, RayTaskError
from ray.remote_function import RemoteFunction

METHOD_ATTRIBUTES = {
    "num_returns": "__ray_num_returns__",
    "concurrency_group": "__ray_concurrency_group__",
    "max_task_retries": "__ray_max_task_retries__",
    "retry_exceptions": "__ray_retry_exceptions__",
    "enable_task_events": "__ray_enable_task_events__",
    "_generator_backpressure_num_objects": "__ray_generator_backpressure_num_objects__",
}
"""Where the original's `@ray.method` leaves each of its options: as an attribute of the function."""


class _Module:
    """Is pickled as the module of this name on the other side."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __reduce__(self) -> Any:
        return importlib.import_module, (self._name,)


class _Name:
    """Is pickled as what a module on the other side has under this name."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __call__(self) -> None:
        raise AssertionError("this stands for something of the other side")

    def __reduce__(self) -> Any:
        return operator.attrgetter(self._name), (_Module(self._module),)


_OTHERS_THERE = ("ray.util.multiprocessing.pool",)
"""Modules whose classes have names that stand for something else in the original: they are taken along by value."""
_ELSEWHERE = {"ray.util.multiprocessing.results": "ray.util.multiprocessing.pool"}
"""Where the original has the classes of a module."""


def reduce_for_original(value: Any) -> Any:
    """How an original client can unpickle what is ours; NotImplemented for everything that is the same there."""
    module = getattr(value, "__module__", None)
    if module in _ELSEWHERE and isinstance(value, type):
        return _Name(_ELSEWHERE[module], value.__qualname__).__reduce__()
    if module in _OTHERS_THERE and module not in cloudpickle.list_registry_pickle_by_value():
        cloudpickle.register_pickle_by_value(importlib.import_module(module))
    if isinstance(value, RayError):
        return _reduce_error(value)
    if isinstance(value, BaseID):
        return _Name("ray._raylet", type(value).__name__), (value.binary(),)
    if isinstance(value, RemoteFunction):
        return _remote(value._function, value._default_options)
    if isinstance(value, ActorClass):
        return _remote(user_class_of(value), value._default_options)
    return NotImplemented


def user_class_of(actor_class: ActorClass[Any]) -> type:
    """The class that `@ray.remote` was put on."""
    cls: type = actor_class._inspected.modified_class.__mro__[1]
    tell_methods(cls)
    return cls


def tell_methods(cls: type) -> None:
    """Leave the options of a class's methods where the original looks for them too."""
    for function in vars(cls).values():
        for name, value in getattr(function, METHOD_OPTIONS_KEY, {}).items():
            if name in METHOD_ATTRIBUTES:
                setattr(function, METHOD_ATTRIBUTES[name], value)


def _remote(code: Any, options: Mapping[str, Any]) -> Any:
    """The other side decorates it anew."""
    remote = _Name("ray", "remote")
    return (_Result(functools.partial(remote, **options)) if options else remote), (code,)


class _Result:
    """Is pickled as what the call gives on the other side."""

    def __init__(self, call: functools.partial[Any]) -> None:
        self._call = call

    def __call__(self) -> None:
        raise AssertionError("this stands for something of the other side")

    def __reduce__(self) -> Any:
        return self._call, ()


def _reduce_error(error: RayError) -> Any:
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
