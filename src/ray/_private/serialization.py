"""How objects become bytes, under the names that tests and older libraries use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ray._common.serialization import pickle_dumps
from ray._core.store import serialization
from ray._private.not_included import absent_names


class SerializationContext:
    """That of this process: all instances are the same."""

    def _register_cloudpickle_serializer(
        self, cls: type, custom_serializer: Callable[[Any], Any], custom_deserializer: Callable[[Any], Any]
    ) -> None:
        """`ray.util.register_serializer`."""
        serialization.register(cls, custom_serializer, custom_deserializer)

    def _unregister_cloudpickle_reducer(self, cls: type) -> None:
        """`ray.util.deregister_serializer`."""
        serialization.deregister(cls)


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(__name__, "Use ray.util.register_serializer and ray.cloudpickle.")

__all__ = ["SerializationContext", "pickle_dumps"]
