"""Parts of Ray that pure-ray leaves out: their names can be imported, and say so when they are used.

That way a program which only imports them, for a case that does not come up, still runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn


def absent(module: str, names: str, instead: str) -> dict[str, Callable[..., NoReturn]]:
    """Functions that raise NotImplementedError.

    Args:
        names: of the functions, apart from each other by spaces.
        instead: what to do instead, as a sentence.
    """
    return {name: _refusing(f"{module}.{name}", name, instead) for name in names.split()}


def _refusing(full_name: str, name: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"{full_name} is not included in pure-ray. {instead}")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"Not included in pure-ray: raises NotImplementedError. {instead}"
    return refuse
