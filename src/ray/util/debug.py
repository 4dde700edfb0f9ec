"""Saying something once, or once a minute, from code that runs often."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from ray._private.not_included import absent_names

REPEAT_AFTER_S = 60.0
_lock = threading.Lock()
_last_said_at_s: dict[str, float] = {}
_disabled = False
_periodic = False


def log_once(key: str) -> bool:
    """Whether the caller should say what `key` stands for: the first time in this process only.

    With `enable_periodic_logging`, again once a minute.
    """
    with _lock:
        if _disabled:
            return False
        now_s = time.monotonic()
        last_s = _last_said_at_s.get(key)
        if last_s is not None and not (_periodic and now_s - last_s > REPEAT_AFTER_S):
            return False
        _last_said_at_s[key] = now_s
        return True


def reset_log_once(key: str | None = None) -> None:
    """Forget that `key` was said; None: forget all."""
    with _lock:
        if key is None:
            _last_said_at_s.clear()
        else:
            _last_said_at_s.pop(key, None)


def disable_log_once_globally() -> None:
    """`log_once` says False from now on, in this process."""
    global _disabled
    _disabled = True


def enable_periodic_logging() -> None:
    """`log_once` says True again for a key a minute after it last did, in this process."""
    global _periodic
    _periodic = True


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "_find_memory_leaks_in_table _test_some_code_for_memory_leaks _take_snapshot",
    )
