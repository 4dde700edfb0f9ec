"""Ray Client would redirect public calls to its server; there is none yet, so these do nothing but exist."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def client_mode_hook(function: F) -> F:
    """`function` as it is: no process is a client."""
    return function


def client_mode_should_convert() -> bool:
    return False


@contextlib.contextmanager
def disable_client_hook() -> Iterator[None]:
    """Code that never goes through a client; none ever does."""
    yield
