"""Protobuf modules under the names that tools import. Those that do not describe Ray Client hold few messages, or none."""

from types import ModuleType
from typing import TYPE_CHECKING

from ray._private import submodule

if not TYPE_CHECKING:  # a checker that saw this would take any name for granted

    def __getattr__(name: str) -> ModuleType:
        return submodule(__name__, name)
