"""Telling users that something is deprecated, for the libraries that import this."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

logger = logging.getLogger(__name__)
DEPRECATED_VALUE = -1
"""The default of an argument that is deprecated."""
F = TypeVar("F", bound=Callable[..., Any])


def deprecation_warning(
    old: str,
    new: str | None = None,
    *,
    help: str | None = None,
    error: bool | type[Exception] | None = None,
    stacklevel: int = 2,
) -> None:
    """Log that `old` is deprecated, and what to use.

    Args:
        error: raise instead: this exception, or a ValueError for True.
    """
    text = f"`{old}` has been deprecated." + (f" Use `{new}` instead." if new else f" {help}" if help else "")
    if error:
        raise (error if isinstance(error, type) else ValueError)(text)
    logger.warning("DeprecationWarning: %s This will raise an error in the future!", text, stacklevel=stacklevel)


def Deprecated(
    old: str | None = None, *, new: str | None = None, help: str | None = None, error: bool | type[Exception]
) -> Callable[[F], F]:
    """Marks a class, method or function: it warns when it is used, or refuses (`error`)."""

    def mark(target: Any) -> Any:
        if inspect.isclass(target):
            constructor = target.__init__

            def warn_and_construct(self: Any, *args: Any, **kwargs: Any) -> None:
                deprecation_warning(old or target.__name__, new, help=help, error=error)
                constructor(self, *args, **kwargs)

            target.__init__ = warn_and_construct  # type: ignore[method-assign]
            return target

        @wraps(target)
        def warn_and_call(*args: Any, **kwargs: Any) -> Any:
            deprecation_warning(old or target.__name__, new, help=help, error=error)
            return target(*args, **kwargs)

        return warn_and_call

    return mark
