"""Telling functions, methods and classes apart."""

from __future__ import annotations

import inspect
from typing import Any


def is_function_or_method(obj: Any) -> bool:
    return inspect.isfunction(obj) or inspect.ismethod(obj)


def is_class_method(f: Any) -> bool:
    """Whether `f` is a bound classmethod."""
    return hasattr(f, "__self__") and inspect.isclass(f.__self__)


def is_static_method(cls: type, f_name: str) -> bool:
    """Whether the class, or one it derives from, has a staticmethod of this name."""
    return any(isinstance(vars(base)[f_name], staticmethod) for base in cls.__mro__ if f_name in vars(base))
