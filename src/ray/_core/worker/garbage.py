"""Collects garbage when the raylet asks for it (see `raylet.garbage`). Floor: worker, shell."""

from __future__ import annotations

import gc
import threading

from ray._core.common import messages as m
from ray._core.wire.connection import Connection

_running = threading.Lock()


def collect(_: Connection, __: m.CollectGarbage) -> None:
    """Begin a collection, unless one is under way. It has a thread of its own: finalizers are the user's code, and
    whoever got the order holds the core worker's lock."""
    if _running.acquire(blocking=False):
        threading.Thread(target=_collect, name="ray-garbage", daemon=True).start()


def _collect() -> None:
    try:
        gc.collect()
    finally:
        _running.release()
