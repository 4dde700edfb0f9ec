"""Environment variables of a runtime environment. Floor: common, pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping

_REFERENCE = re.compile(r"\$\{(\w+)\}")
_AT_START = re.compile(r"PYTHON(?!PATH$)|LD_|DYLD_|MALLOC_|GLIBC_|LC_|LANG$|TZ$")
"""Variables that the interpreter, the loader or libc read once, before any code of ours runs."""


def apply(variables: Mapping[str, str], environ: MutableMapping[str, str]) -> None:
    """Set `variables` in `environ`; `${NAME}` in a value stands for what NAME has so far, or nothing.

    Source: Ray docs, "Environment dependencies", env_vars.
    """
    for name, value in variables.items():
        environ[name] = _REFERENCE.sub(lambda found: environ.get(found[1], ""), value)


def need_fresh_interpreter(variables: Mapping[str, str]) -> bool:
    """Whether some variable would have no effect in a process that runs Python already."""
    return any(_AT_START.match(name) for name in variables)
