"""How stable an API is: decorators that note it on the object and in its docstring."""

from __future__ import annotations

import enum
import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])
_OTHERS = "Others"


class AnnotationType(enum.Enum):
    PUBLIC_API = "PublicAPI"
    DEVELOPER_API = "DeveloperAPI"
    DEPRECATED = "Deprecated"
    UNKNOWN = "Unknown"


class RayDeprecationWarning(DeprecationWarning):
    """Of Ray's own deprecations. Unlike other deprecation warnings it is shown by default."""


if not any(f[2] is RayDeprecationWarning for f in warnings.filters):
    warnings.filterwarnings("default", category=RayDeprecationWarning, append=True)


@overload
def PublicAPI(obj: F, /) -> F: ...
@overload
def PublicAPI(*, stability: str = "stable", api_group: str = _OTHERS) -> Callable[[F], F]: ...
def PublicAPI(*args: Any, stability: str = "stable", api_group: str = _OTHERS) -> Any:
    """Users may rely on it.

    Args:
        stability: "stable" (kept across minor releases), "beta", or "alpha" (may change).
        api_group: under which the documentation lists it.
    """
    if len(args) == 1 and callable(args[0]):
        return PublicAPI()(args[0])
    assert stability in ("stable", "beta", "alpha"), stability

    def decorate(obj: F) -> F:
        if stability != "stable":
            _append_doc(
                obj,
                f"**PublicAPI ({stability}):** This API is in {stability} and may change before becoming stable.",
            )
        return _mark(obj, AnnotationType.PUBLIC_API, api_group)

    return decorate


@overload
def DeveloperAPI(obj: F, /) -> F: ...
@overload
def DeveloperAPI(*, api_group: str = _OTHERS, **ignored: Any) -> Callable[[F], F]: ...
def DeveloperAPI(*args: Any, api_group: str = _OTHERS, **ignored: Any) -> Any:
    """For authors of libraries; may change in a minor release."""
    if len(args) == 1 and callable(args[0]):
        return DeveloperAPI()(args[0])

    def decorate(obj: F) -> F:
        _append_doc(obj, "**DeveloperAPI:** This API may change across minor Ray releases.")
        return _mark(obj, AnnotationType.DEVELOPER_API, api_group)

    return decorate


@overload
def Deprecated(obj: F, /) -> F: ...
@overload
def Deprecated(message: str = ..., *, warning: bool = False) -> Callable[[F], F]: ...
def Deprecated(*args: Any, message: str = "", warning: bool = False, **unknown: Any) -> Any:
    """To be removed.

    Args:
        message: what to use instead.
        warning: also warn (RayDeprecationWarning) at each call, or each instance of a class.
    Raises:
        ValueError: an unknown keyword.
    """
    if len(args) == 1 and callable(args[0]):
        return Deprecated()(args[0])
    if unknown:
        raise ValueError(f"Unknown kwargs: {unknown.keys()}")
    if args:
        message = args[0]
    text = "**DEPRECATED**: This API is deprecated and may be removed in future Ray releases."
    spoken = (
        "This API is deprecated and may be removed in future Ray releases. You could suppress this warning by "
        'setting env variable PYTHONWARNINGS="ignore::DeprecationWarning"\n' + message
    )

    def decorate(obj: F) -> F:
        _append_doc(obj, text + (f"\n{message}" if message else ""), directive="warning")
        _mark(obj, AnnotationType.DEPRECATED, _OTHERS)
        return _warning(obj, spoken) if warning else obj

    return decorate


def _warning(obj: Any, text: str) -> Any:
    """`obj` (a class: its constructor), warning at each call."""
    if inspect.isclass(obj):
        cls: Any = obj
        cls.__init__ = _warning(cls.__init__, text)
        return cls

    @functools.wraps(obj)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(text, RayDeprecationWarning, stacklevel=2)
        return obj(*args, **kwargs)

    return wrapper


def _append_doc(obj: Any, text: str, directive: str | None = None) -> None:
    """Add `text` to the docstring, at its own indentation, in a Sphinx directive if one is named."""
    doc = (obj.__doc__ or "").rstrip()
    indent = _indent_of(doc)
    lines = text.splitlines()
    if directive is not None:
        lines = [f".. {directive}::", "", *(f"    {line}" for line in lines)]
    obj.__doc__ = f"{doc}\n\n" + "".join(f"{indent}{line}\n" if line else "\n" for line in lines) + indent


def _indent_of(doc: str) -> str:
    """The indentation of the docstring's second paragraph; none for one line."""
    rest = [line for line in doc.splitlines()[1:] if line.strip()]
    return min((line[: len(line) - len(line.lstrip())] for line in rest), key=len, default="")


def _mark(obj: F, kind: AnnotationType, api_group: str) -> F:
    noted: Any = obj
    noted._annotated = noted.__name__
    noted._annotated_type = kind
    noted._annotated_api_group = api_group
    return obj


def _is_annotated(obj: Any) -> bool:
    """Whether `obj` itself, not a class it derives from, is annotated."""
    return getattr(obj, "_annotated", None) is not None and obj._annotated == obj.__name__


def _get_annotation_type(obj: Any) -> str | None:
    return str(obj._annotated_type.value) if _is_annotated(obj) else None
