"""Building runtime environments: packages, plug-ins, the node's agent, and the launch of workers."""

from types import ModuleType
from typing import TYPE_CHECKING

from ray._private import submodule

if not TYPE_CHECKING:  # a checker that saw this would take any name for granted

    def __getattr__(name: str) -> ModuleType:
        return submodule(__name__, name)
