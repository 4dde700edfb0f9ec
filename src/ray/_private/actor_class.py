"""Looking at a user's class: its methods with their options, its constructor, whether it is an asyncio actor."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from ray._core.common.call_shape import ANY, CallShape, shape_of
from ray._core.common.options import MethodOptions
from ray._private.engine_options import method_options

METHOD_OPTIONS_KEY = "__ray_method_options__"
"""Where `@ray.method` leaves its options on the function."""


@dataclasses.dataclass(frozen=True)
class Inspected:
    """`modified_class` is the user's with the methods that each actor has; `constructor`: what its __init__ takes."""

    modified_class: type
    methods: dict[str, MethodOptions]
    constructor: CallShape
    is_async: bool


def with_builtin_methods(cls: type) -> type:
    """`cls` with `__ray_ready__`, `__ray_call__` and `__ray_terminate__`, under its own name."""
    if getattr(cls, "__ray_actor_class__", None) is not None:
        return cls

    def __ray_ready__(self: Any) -> bool:
        return True

    def __ray_call__(self: Any, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    def __ray_terminate__(self: Any) -> None:
        from ray.actor import exit_actor

        exit_actor()

    added = {
        "__ray_actor_class__": cls,
        "__ray_ready__": __ray_ready__,
        "__ray_call__": __ray_call__,
        "__ray_terminate__": __ray_terminate__,
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
    }
    return type(cls)(cls.__name__, (cls,), added)


def inspect_class(cls: type) -> Inspected:
    methods: dict[str, MethodOptions] = {}
    is_async = False
    for name in dir(cls):
        found = _function_of(cls, name)
        if found is None:
            continue
        function, skip = found
        is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        is_async |= inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        given = getattr(function, METHOD_OPTIONS_KEY, {})
        methods[name] = method_options(given, is_generator=is_generator, shape=shape_of(function, skip))
    initializer: Any = inspect.getattr_static(cls, "__init__")
    constructor = shape_of(initializer, skip=1) if inspect.isfunction(initializer) else ANY
    return Inspected(cls, methods, constructor, is_async)


def _function_of(cls: type, name: str) -> tuple[Callable[..., Any], int] | None:
    """The function behind `cls.name`, and how many leading parameters callers do not see; None if it is no method."""
    raw = inspect.getattr_static(cls, name)
    if raw is getattr(object, name, None) or name in ("__new__", "__init_subclass__", "__class_getitem__"):
        return None
    if isinstance(raw, staticmethod):
        return raw.__func__, 0
    if isinstance(raw, classmethod):
        return raw.__func__, 1
    if inspect.isfunction(raw):
        return raw, 1
    if inspect.isroutine(raw) and name not in vars(object):
        return raw, 1
    return None
