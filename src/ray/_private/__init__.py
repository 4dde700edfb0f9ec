"""Behind the public names. Modules are imported at their first use, as programs name them."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING


def submodule(package: str, name: str) -> ModuleType:
    """For the `__getattr__` of a package. Raises AttributeError when it has no such module."""
    try:
        return importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{package}.{name}":
            raise
        raise AttributeError(f"module {package!r} has no attribute {name!r}") from None


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted

    def __getattr__(name: str) -> ModuleType:
        return submodule(__name__, name)
