"""How functions and classes of the user are named in errors, the runtime context and the state API.

Floor: common, pure but for a look at this process's main module.
"""

from __future__ import annotations

import sys
from pathlib import Path

_PACKAGE = Path(__file__).parents[2]


def is_anonymous(namespace: str) -> bool:
    """Whether a session got it since it asked for none: such namespaces are random UUIDs."""
    return [len(part) for part in namespace.split("-")] == [8, 4, 4, 4, 12]


def short_name(class_name: str) -> str:
    """Of a class's qualified name the last part: calls and output are named by it."""
    return class_name.rpartition(".")[2]


def shown_module(module: str) -> str:
    """`module` itself; for `__main__` the name of the driver's script, as Ray has it, where there is one."""
    if module != "__main__":
        return module
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if not path or Path(path).is_relative_to(_PACKAGE):  # interactive, or a worker
        return module
    return Path(path).stem
