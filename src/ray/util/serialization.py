"""How instances of one class are pickled, where their own way is wrong or missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray._core.store import serialization


def register_serializer(cls: type, *, serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any]) -> None:
    """Pickle instances of exactly `cls` (not of subclasses) with these, in this process.

    The deserializer travels with each object; a process that pickles such objects has to register for itself.

    Args:
        serializer: from an instance to anything that can be pickled.
        deserializer: from that to an instance.
    """
    serialization.register(cls, serializer, deserializer)


def deregister_serializer(cls: type) -> None:
    """Undo `register_serializer`; nothing happens if there was none."""
    serialization.deregister(cls)
