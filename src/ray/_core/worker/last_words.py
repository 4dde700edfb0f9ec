"""A worker whose user code ends the process says first what it has answered.

Floor: worker, shell. Answers of quick calls of one method leave together, so some may still be here when the next call
ends the process by `os._exit`, or kills it. Sending each by itself would cost every call a system call; so the ways in
which Python code ends its own process send them. What kills from outside, or a crash in compiled code, may still take
along the answers of the last two milliseconds.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from ray._core.wire.reactor import Reactor

PATIENCE_S = 0.1
"""Whoever holds the lock may be this very thread, in engine code that ends the process: it has nothing more to say."""


def install(reactor: Reactor) -> None:
    """From now on, in this process and not in those that it forks."""
    own_pid = os.getpid()

    def say() -> None:
        if os.getpid() == own_pid and reactor.lock.acquire(timeout=PATIENCE_S):
            try:
                reactor.flush()
            finally:
                reactor.lock.release()

    def before(function: Callable[..., Any], ends_us: Callable[..., bool]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if ends_us(*args, **kwargs):
                say()
            return function(*args, **kwargs)

        wrapper.__name__, wrapper.__doc__ = function.__name__, function.__doc__
        return wrapper

    def always(*args: Any, **kwargs: Any) -> bool:
        return True

    os._exit = before(os._exit, always)
    os.abort = before(os.abort, always)
    os.kill = before(os.kill, lambda pid, signum: pid in (own_pid, 0) and signum != 0)
    os.killpg = before(os.killpg, always)
    signal.raise_signal = before(signal.raise_signal, always)
