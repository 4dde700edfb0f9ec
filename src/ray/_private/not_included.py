"""Parts of Ray that pure-ray leaves out: their names can be imported, and say so when they are used.

That way a program which only imports them, for a case that does not come up, still runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn


class Absent:
    """Stands for a class, an enumeration or one of its values that pure-ray has not: it cannot be called or compared.

    Its attributes are such stand-ins too, since programs name them at the import already (`Message.Kind.FIRST`).
    """

    def __init__(self, full_name: str, instead: str = "") -> None:
        self._full_name = full_name
        self._instead = instead

    def __repr__(self) -> str:
        return f"<{self._full_name}: not included in pure-ray>"

    def __getattr__(self, name: str) -> Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self._full_name}.{name}", self._instead)

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"{self._full_name} is not included in pure-ray. {self._instead}".rstrip())

    __eq__ = __bool__ = __iter__ = __call__

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type]:
        """A class may be derived from one that is absent; it cannot be instantiated."""
        return (type(self._full_name.rpartition(".")[2], (), {"__new__": self}),)

    def __or__(self, other: object) -> object:
        """In an annotation, `Absent | None`."""
        return object

    __ror__ = __or__

    def __hash__(self) -> int:
        return id(self)


def absent_names(module: str, instead: str = "", names: str | None = None) -> Callable[[str], Absent]:
    """A `__getattr__` for a module of which all else is absent, or the `names` alone, which are apart by spaces."""
    known = None if names is None else frozenset(names.split())

    def name_of(name: str) -> Absent:
        if name.startswith("__") or (known is not None and name not in known):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return Absent(f"{module}.{name}", instead)

    return name_of


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
