"""Names for pieces of a program's time, which `ray.timeline()` then shows."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

from ray._private.auto_init_hook import connected_core
from ray._private.not_included import absent_names

PROFILING_ENABLED = "RAY_PROFILING" in os.environ
__getattr__ = absent_names(__name__, "Use ray.timeline().")
NULL_LOG_SPAN: AbstractContextManager[None] = contextlib.nullcontext()


def profile(event_type: str, extra_data: Mapping[str, str] | None = None) -> AbstractContextManager[None]:
    """Name the time of a `with` block. Nothing is recorded unless the variable RAY_PROFILING is set, as in Ray.

    Args:
        extra_data: shown with it; "name" instead of `event_type`.
    Raises:
        RaySystemError: before `ray.init`.
    """
    return _recorded(event_type, extra_data or {}) if PROFILING_ENABLED else NULL_LOG_SPAN


@contextlib.contextmanager
def _recorded(event_type: str, extra_data: Mapping[str, str]) -> Iterator[None]:
    core, started_us = connected_core(), time.time_ns() // 1000
    extra = {str(key): str(value) for key, value in extra_data.items()}
    try:
        yield
    finally:
        with core.lock:
            core.task_log.span(event_type, started_us, extra)
