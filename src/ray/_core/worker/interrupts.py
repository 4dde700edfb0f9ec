"""How a running task is interrupted: KeyboardInterrupt in the user's code, and never in the engine's.

Floor: worker, shell. Normal tasks run on the main thread, where Python runs signal handlers, and a signal ends
`time.sleep` and other system calls, which an exception set from another thread would not. Whoever learns of the
cancellation sends SIGINT to the main thread; the handler raises if the frame that it interrupts is the user's. In the
middle of engine code it does not: a wait there is ended and raises by itself (`waiting_for`), and from any other call
the exception is raised in the user's frame that made it, as soon as that goes on (by a trace function on that frame).
The signal is sent again until the task has been interrupted or has ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from ray._core.worker import streaming
from ray._core.worker.invocation import Call, Invoker

if TYPE_CHECKING:
    from ray._core.wire.reactor import Waiter
    from ray._core.worker.core import CoreWorker

REPEAT_S = 0.02
"""How soon to try again when the engine's code was interrupted."""
_PACKAGE = str(Path(__file__).parents[2]) + os.sep
_CALLERS: frozenset[CodeType] = frozenset(
    function.__code__
    for function in (
        Invoker.run,
        streaming.run,
        streaming.run_async,
        streaming.Producer.run,
        streaming.Producer.run_async,
    )
)
"""Functions of ours that call the user's code: what they call directly is the user's, up to the next frame of ours."""


class Interrupts:
    """The call that runs on the main thread, and its interruption."""

    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self._main_thread_id = threading.main_thread().ident or 0
        self.running: Call | None = None
        """Only the main thread sets it."""
        self._waiter: Waiter | None = None
        self._target: Call | None = None
        self._traced: FrameType | None = None

    def is_main_thread(self) -> bool:
        return threading.get_ident() == self._main_thread_id

    def install(self) -> None:
        """Take SIGINT over. Main thread. Without a cancellation it does nothing, so Ctrl-C ends only the driver."""
        signal.signal(signal.SIGINT, self._on_signal)

    def interrupt(self, call: Call) -> None:
        """Have `call` raise KeyboardInterrupt soon, unless it ends before. Locked."""
        self._target = call
        self._kick(call)

    def _kick(self, call: Call) -> None:
        if self._target is not call or self.running is not call:
            return
        if self._waiter is not None:
            self._waiter.finish()
        else:
            signal.pthread_kill(self._main_thread_id, signal.SIGINT)
        self._core.reactor.call_later(REPEAT_S, partial(self._kick, call))

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        call = self._target
        if call is None or call is not self.running:
            return
        users = _users_frame(frame)
        if users is not None and users is frame:
            self._raise()
        elif users is not None and users is not self._traced:
            self._traced = users
            users.f_trace = self._on_trace
            users.f_trace_opcodes = True
            sys.settrace(_trace_no_other)

    def _on_trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        """The user's frame goes on."""
        if self._target is not None and self._target is self.running:
            self._raise()
        self._disarm()
        return None

    def _raise(self) -> NoReturn:
        self._target = None
        self._disarm()
        raise KeyboardInterrupt

    def _disarm(self) -> None:
        if self._traced is not None:
            sys.settrace(None)
            self._traced.f_trace, self._traced = None, None

    def ended(self) -> None:
        """The running call has ended. Main thread."""
        self.running = None
        self._disarm()

    @contextlib.contextmanager
    def waiting_for(self, waiter: Waiter) -> Iterator[None]:
        """The running call waits; an interruption ends the wait, and is raised here. Main thread, not locked."""
        self._waiter = waiter
        try:
            yield
        finally:
            self._waiter = None
        call = self._target
        if call is not None and call is self.running:
            self._raise()


def _trace_no_other(frame: FrameType, event: str, argument: Any) -> None:
    """Tracing must be on for the one frame to be traced; new frames are not."""


def _users_frame(frame: FrameType | None) -> FrameType | None:
    """Where to raise: `frame` itself in user code, else the user's frame that called the engine; None: nowhere now.

    Frames of `__del__` count as ours: what they raise is swallowed.
    """
    first, is_ours, found = frame, False, None
    while frame is not None:
        code = frame.f_code
        if code in _CALLERS:
            return None if frame is first or is_ours else found
        if code.co_filename.startswith(_PACKAGE) or code.co_name == "__del__":
            is_ours = True
        elif is_ours or frame is first:
            is_ours, found = False, frame
        frame = frame.f_back
    return None
