"""Public calls of a thread that is connected through Ray Client go to the server instead of this process's session.

A process may have both: a session of its own and clients (a Ray Client server in a test is in one process with its
client). Each thread decides by itself; a server's threads never convert.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

active = os.environ.get("RAY_CLIENT_MODE", "") == "1"
"""Whether any thread of this process may be a client. All that a call costs that goes nowhere: one look at this."""


is_client_mode_enabled = is_client_mode_enabled_by_default = active


class _Thread(threading.local):
    is_hook_enabled = True


_thread = _Thread()


def client_mode_should_convert() -> bool:
    """Whether a public call of this thread goes through its client."""
    return active and _thread.is_hook_enabled and _client().has_connection()


def client_mode_hook(function: F) -> F:
    """Send calls of a public function to the client's function of that name, in threads that are clients."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if active and client_mode_should_convert():
            return getattr(_client(), function.__name__)(*args, **kwargs)
        return function(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


def client_mode_wrap(function: F) -> F:
    """Run calls of a function in the cluster, as a task without resources, in threads that are clients."""
    remotes: list[Any] = []

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not (active and client_mode_should_convert()):
            return function(*args, **kwargs)
        import ray

        if not remotes:
            remotes.append(ray.remote(num_cpus=0)(wrapper))  # the wrapper, since that is what its name means there
        return ray.get(remotes[0].remote(*args, **kwargs))

    return wrapper  # type: ignore[return-value]


def client_here() -> Any:
    """The client of this thread, None if it has none; worth asking only while `active`."""
    return _client() if client_mode_should_convert() else None


def set_active(is_active: bool) -> None:
    """Told by the client package when its first context connects and when the last has gone."""
    global active
    active = is_active


@contextlib.contextmanager
def disable_client_hook() -> Iterator[None]:
    """Code (or, as a decorator, a function) that means this process's own session."""
    before, _thread.is_hook_enabled = _thread.is_hook_enabled, False
    try:
        yield
    finally:
        _thread.is_hook_enabled = before


@contextlib.contextmanager
def enable_client_mode() -> Iterator[None]:
    """Code whose public calls go through the client, in a thread that had the hook disabled."""
    before, _thread.is_hook_enabled = _thread.is_hook_enabled, True
    try:
        yield
    finally:
        _thread.is_hook_enabled = before


def _set_client_hook_status(val: bool) -> None:
    """Of this thread; what `disable_client_hook` sets for a block."""
    _thread.is_hook_enabled = val


def _get_client_hook_status_on_thread() -> bool:
    return _thread.is_hook_enabled


def _disable_client_hook() -> bool:
    """Disable the hook of this thread; whether it was enabled before."""
    before, _thread.is_hook_enabled = _thread.is_hook_enabled, False
    return before


def _explicitly_enable_client_mode() -> None:
    set_active(True)


def _explicitly_disable_client_mode() -> None:
    set_active(False)


def _client() -> Any:
    from ray.util.client import ray as client  # late: the client needs gRPC, which most processes never load

    return client
