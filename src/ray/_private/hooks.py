"""Functions of a site's own that variables name, called where something begins. Shell."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any


def load(variable: str) -> Callable[..., Any] | None:
    """The function that a variable names as "module.function"; None if it names none.

    Raises ImportError or AttributeError: there is no such module or function.
    """
    name = os.environ.get(variable)
    if not name:
        return None
    module, _, function = name.rpartition(".")
    hook: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return hook
