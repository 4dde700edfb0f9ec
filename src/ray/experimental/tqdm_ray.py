"""Progress bars of all tasks and actors, drawn together by the driver.

A bar in a worker prints its state as a line of JSON, which travels with the worker's output. The driver knows it by a
magic token (`DriverLog`), does not show it, and draws it with the library `tqdm`; without that nothing is drawn.
Source: Ray docs, "Progress bars for distributed Python". RAY_TQDM=0 turns bars off; RAY_TQDM_PATCH_PRINT=0 leaves the
driver's `print` as it is.
"""

from __future__ import annotations

import builtins
import json
import logging
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sized
from typing import Any

from ray._core.worker import object_ref as _process
from ray._core.worker.driver_log import TQDM_TOKEN as RAY_TQDM_MAGIC

logger = logging.getLogger("ray")
State = dict[str, Any]
"""What a bar says of itself: x (how far), total, desc, unit, pos, ip, pid, uuid, closed."""
_print = builtins.print


class tqdm:
    """The part of the library's interface that works across processes.

    Args:
        total: how many steps; default: the length of `iterable` if it has one.
        position: of several bars of this process, from 0.
        flush_interval_s: tell the driver at most this often.
    """

    DEFAULT_FLUSH_INTERVAL_SECONDS = 1.0

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        desc: str | None = None,
        total: int | None = None,
        unit: str | None = None,
        position: int | None = None,
        flush_interval_s: float | None = None,
    ) -> None:
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        core = _process._core
        self._iterable = iterable
        self._desc, self._total, self._unit, self._pos = desc or "", total, unit or "it", position or 0
        self._flush_interval_s = self.DEFAULT_FLUSH_INTERVAL_SECONDS if flush_interval_s is None else flush_interval_s
        self._ip = core.node.host if core is not None else ""
        self._pid = os.getpid()
        self._uuid = uuid.uuid4().hex
        self._x = 0
        self._closed = False
        self._last_flush_time = 0.0

    @property
    def n(self) -> int:
        return self._x

    @property
    def total(self) -> int | None:
        return self._total

    def set_description(self, desc: str) -> None:
        self._desc = desc
        self._dump_state()

    def update(self, n: int = 1) -> None:
        self._x += n
        self._dump_state()

    def refresh(self) -> None:
        """Show the state now, however short the time since the last."""
        self._dump_state(force=True)

    def close(self) -> None:
        self._closed = True
        self._dump_state(force=True)

    def __iter__(self) -> Iterator[Any]:
        if self._iterable is None:
            raise ValueError("This progress bar has no iterable: give one, or use update().")
        for item in self._iterable:
            yield item
            self.update(1)
        self.close()

    def __enter__(self) -> tqdm:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _dump_state(self, force: bool = False) -> None:
        now_s = time.monotonic()
        if not force and self._last_flush_time and now_s - self._last_flush_time < self._flush_interval_s:
            return
        self._last_flush_time = now_s
        core = _process._core
        if core is not None and core.mode == "worker":
            _print(json.dumps(self._get_state()) + "\n", end="", flush=True)
        else:
            instance().process_state_update(self._get_state())

    def _get_state(self) -> State:
        return {
            "__magic_token__": RAY_TQDM_MAGIC,
            "x": self._x,
            "pos": self._pos,
            "desc": self._desc,
            "total": self._total,
            "unit": self._unit,
            "ip": self._ip,
            "pid": self._pid,
            "uuid": self._uuid,
            "closed": self._closed,
        }


class BarManager:
    """Draws the bars on this terminal; one per driver. Its methods may be called from any thread."""

    def __init__(self, draw: Any) -> None:
        self._draw = draw  # the class tqdm.tqdm, or None
        self._lock = threading.RLock()
        self._bars: dict[str, Any] = {}
        self._states: dict[str, State] = {}
        self.in_hidden_state = False

    def process_json_line(self, line: str) -> None:
        """A line of a worker. One that is cut or forged is dropped with a word in the log."""
        try:
            state = json.loads(line)
            self.process_state_update(state)
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("A progress bar's line could not be read (%s): %.200s", error, line)

    def process_state_update(self, state: State) -> None:
        if self._draw is None or os.environ.get("RAY_TQDM", "1") == "0":
            return
        with self._lock:
            key = state["uuid"]
            if state["closed"]:
                bar = self._bars.pop(key, None)
                self._states.pop(key, None)
                if bar is not None:
                    self._apply(bar, state)
                    bar.close()
                    self._place()
                return
            self._states[key] = state
            if key not in self._bars:
                is_local = state["pid"] == os.getpid()
                prefix = "" if is_local else f"({state['pid']}) "
                self._bars[key] = self._draw(
                    desc=prefix + state["desc"], total=state["total"], unit=state["unit"], leave=False
                )
                self._place()
            self._apply(self._bars[key], state)

    def _apply(self, bar: Any, state: State) -> None:
        prefix = "" if state["pid"] == os.getpid() else f"({state['pid']}) "
        bar.set_description_str(prefix + state["desc"], refresh=False)
        bar.total = state["total"]
        bar.n = state["x"]
        if not self.in_hidden_state:
            bar.refresh()

    def _place(self) -> None:
        """Bars of one process stand together, in the order of their positions; own ones last."""

        def order(key: str) -> tuple[Any, ...]:
            state = self._states[key]
            return state["pid"] == os.getpid(), state["ip"], state["pid"], state["pos"]

        for row, key in enumerate(sorted(self._bars, key=order)):
            bar = self._bars[key]
            if bar.pos != -row:
                bar.clear()
                bar.pos = -row
                bar.refresh()

    def hide_bars(self) -> None:
        """Clear them from the terminal until `unhide_bars`, so that something can be printed."""
        with self._lock:
            if not self.in_hidden_state:
                self.in_hidden_state = True
                for bar in self._bars.values():
                    bar.clear()

    def unhide_bars(self) -> None:
        with self._lock:
            if self.in_hidden_state:
                self.in_hidden_state = False
                for bar in self._bars.values():
                    bar.refresh()


_manager: BarManager | None = None
_manager_lock = threading.Lock()


def instance() -> BarManager:
    """This process's bars; made at the first use, which also makes `print` go around them."""
    global _manager
    with _manager_lock:
        if _manager is None:
            _manager = BarManager(_drawing_class())
            if os.environ.get("RAY_TQDM_PATCH_PRINT", "1") == "1":
                builtins.print = safe_print
    return _manager


def _drawing_class() -> Any:
    try:
        import tqdm
    except ImportError:
        logger.warning("tqdm is not installed (pip install tqdm). Progress bars will be disabled.")
        return None
    return tqdm.tqdm


def safe_print(*args: Any, **kwargs: Any) -> None:
    """`print` that leaves the bars whole."""
    if _manager is None or kwargs.get("file") not in (None, sys.stdout, sys.stderr):
        _print(*args, **kwargs)
        return
    with _manager._lock:
        _manager.hide_bars()
        try:
            _print(*args, **kwargs)
        finally:
            _manager.unhide_bars()
