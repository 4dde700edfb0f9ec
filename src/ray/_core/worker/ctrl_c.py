"""Ctrl-C in a driver: KeyboardInterrupt, but never in the middle of a change to the core worker's state.

Floor: worker, shell. Python runs signal handlers between any two instructions of the main thread. Where that thread
holds the core worker's lock, or hands the reactor's leadership over, the interrupt comes a millisecond later instead.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

from ray._core.wire import reactor
from ray._core.worker import object_ref

RETRY_S = 0.001
_SLEEPING = {"_step", "_park"}
"""Functions of the reactor in which a thread sleeps; they put everything right when an exception passes."""


def install() -> None:
    """Take over SIGINT from Python's default handler; one of the user's own stays. In the main thread only."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)


def uninstall() -> None:
    """Give SIGINT back, if it is ours to give."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is _interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupted(number: int, frame: FrameType | None) -> None:
    core = object_ref._core
    is_owned = core is not None and core.lock._is_owned()  # type: ignore[attr-defined]
    if core is None or not (is_owned or _hands_over(frame)):
        raise KeyboardInterrupt
    again = threading.Timer(RETRY_S, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()


def _hands_over(frame: FrameType | None) -> bool:
    """Whether the innermost function of the reactor that runs here is one that must not be left half-way."""
    while frame is not None:
        if frame.f_code.co_filename == reactor.__file__:
            return frame.f_code.co_name not in _SLEEPING
        frame = frame.f_back
    return False
