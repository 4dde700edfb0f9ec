"""Calls that need a session start one: `ray.get`, `f.remote` and their kin call `ray.init()` when nobody has.

Source: Ray docs, "Starting Ray": disabled by RAY_ENABLE_AUTO_CONNECT=0.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from ray._core.worker import object_ref as _process

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker

P = ParamSpec("P")
R = TypeVar("R")
enable_auto_connect = os.environ.get("RAY_ENABLE_AUTO_CONNECT", "") != "0"


def auto_init_core() -> CoreWorker:
    """This process's core worker, connected by `ray.init()` if need be.

    Raises:
        RaySystemError: there is none, and it may not be made.
    """
    core = _process._core
    if core is not None:
        return core
    auto_init_ray()
    return connected_core()


def connected_core() -> CoreWorker:
    """This process's core worker. Raises RaySystemError when there is none."""
    core = _process._core
    if core is None:
        from ray._core.common.errors import RaySystemError
        from ray._core.worker import forked

        if forked.parent:
            raise RaySystemError(forked.text())
        raise RaySystemError(
            "Ray has not been started yet. You can start Ray with 'ray.init()'. "
            "Trying to use state API before ray.init() has been called."
        )
    return core


def auto_init_ray() -> None:
    """`ray.init()`, unless there is a session or RAY_ENABLE_AUTO_CONNECT=0 forbids it."""
    if enable_auto_connect and _process._core is None:
        from ray._core.worker import forked
        from ray._private.worker import init

        if not forked.parent:  # a fork of a driver that silently started a cluster of its own would surprise
            init()


def wrap_auto_init(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, with a session when it runs."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        auto_init_ray()
        return function(*args, **kwargs)

    return wrapper


def runtime_env_here(core: CoreWorker) -> str:
    """The runtime environment of this process as JSON, which its children inherit; "" for none."""
    text: str = getattr(core, "runtime_env", "")
    return text
