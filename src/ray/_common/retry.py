"""Trying again what may succeed later."""

from __future__ import annotations

import functools
import logging
import random
import re
import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
logger = logging.getLogger(__name__)


def matches_error(pattern: str, error_str: str) -> bool:
    """Whether the text contains the pattern, literally or as a regular expression."""
    if pattern in error_str:
        return True
    try:
        return re.search(pattern, error_str) is not None
    except re.error:
        return False


def call_with_retry(
    f: Callable[P, R],
    description: str,
    match: Sequence[str] | None = None,
    max_attempts: int = 10,
    max_backoff_s: int = 32,
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """`f(*args, **kwargs)`, again and again while it raises, with growing random pauses in between.

    Args:
        description: of what is tried, for the log.
        match: only errors whose text has one of these are tried again; None: all.
        max_attempts: the error of the last one is raised.
        max_backoff_s: the longest pause.
    """
    assert max_attempts >= 1, f"`max_attempts` must be positive. Got {max_attempts}."
    for attempt in range(1, max_attempts + 1):
        try:
            return f(*args, **kwargs)
        except Exception as error:
            is_retryable = match is None or any(matches_error(pattern, str(error)) for pattern in match)
            if not is_retryable or attempt == max_attempts:
                raise
            pause_s = min(2 ** (attempt - 1), max_backoff_s) * random.random()
            logger.info(
                "Trying again to %s in %.1f s (%d of %d): %s", description, pause_s, attempt, max_attempts, error
            )
            time.sleep(pause_s)
    raise AssertionError("not reached")


def retry(
    description: str, match: Sequence[str] | None = None, max_attempts: int = 10, max_backoff_s: int = 32
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """`call_with_retry` as a decorator."""

    def decorate(f: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(f)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            return call_with_retry(f, description, match, max_attempts, max_backoff_s, *args, **kwargs)

        return wrapper

    return decorate
