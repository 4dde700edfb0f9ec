"""Which part of an object cannot be pickled: `inspect_serializability`.

Goes down from the object through what it holds (attributes, items, the variables that a function closes over) as long
as the part at hand cannot be pickled, and reports the deepest parts found. Also used for the text of the TypeError
that an argument, a function or a class raises when it cannot be sent.
"""

from __future__ import annotations

import dataclasses
import inspect
import io
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from ray._core.store.serialization import serialize

DEPTH = 3
"""Levels below the object that are looked at unless the caller says otherwise."""
_INDENT = "    "
_SHOWN_CHARACTERS = 300
"""Of each part's text: a report on a large object stays readable."""
_MANUAL = "https://docs.ray.io/en/master/ray-core/objects/serialization.html#troubleshooting"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class FailureTuple:
    """One part that cannot be pickled.

    Args:
        obj: the part.
        path: the names that lead to it, from the object inspected.
        parent: what holds it; None for the object inspected.
    """

    obj: Any
    path: tuple[str, ...]
    parent: Any

    @property
    def name(self) -> str:
        return self.path[-1] if self.path else "unknown"

    def __repr__(self) -> str:
        return f"FailTuple({self.name} [path={' -> '.join(self.path)}, obj={self.obj}, parent={self.parent}])"


def inspect_serializability(
    base_obj: Any, name: str | None = None, depth: int = DEPTH, print_file: TextIO | None = None
) -> tuple[bool, set[FailureTuple]]:
    """Tell which parts of `base_obj` cannot be pickled.

    Args:
        name: what the paths of the report begin with.
        depth: levels below the object that are looked at.
        print_file: where the report goes; default: standard output.
    Returns:
        Whether the object can be pickled, and the parts that cannot.
    """
    inspector = _Inspector(print_file or sys.stdout)
    title = f"Checking Serializability of {base_obj}"
    rule = "=" * min(len(title), 80)
    inspector.say(0, f"{rule}\n{title}\n{rule}")
    path = (name,) if name else ()
    if inspector.inspect(base_obj, path, None, depth, level=0):
        return True, set()
    inspector.summarize(rule)
    return False, set(inspector.failures)


def can_be_pickled(value: Any) -> bool:
    return _pickling_error(value) is None


def _pickling_error(value: Any) -> Exception | None:
    try:
        serialize(value)
        return None
    except Exception as error:  # whatever a pickler or a user's __reduce__ raises: that is the finding
        return error


def report(what: str, value: Any) -> str:
    """The text of the error for `value`, which could not be pickled: `what` it is, and the inspection."""
    text = io.StringIO()
    inspect_serializability(value, print_file=text)
    return f"Could not serialize {what}:\n{text.getvalue()}"


class _Inspector:
    """One walk. `failures` fills as it goes, deepest parts only."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.failures: list[FailureTuple] = []
        self._seen: set[int] = set()

    def say(self, level: int, text: str) -> None:
        print(_INDENT * level + text, file=self._out)

    def inspect(self, value: Any, path: tuple[str, ...], parent: Any, depth: int, level: int) -> bool:
        """Whether `value` can be pickled; if not, one of `failures` is it or is in it."""
        error = _pickling_error(value)
        if error is None:
            return True
        self.say(level, f"!!! FAIL serialization: {error}")
        if id(value) in self._seen:  # reported already, or being inspected further up
            return False
        self._seen.add(id(value))
        if depth > 0:
            results = [
                self._inspect_part(part_name, part, path, value, depth, level)
                for part_name, part in self._parts(value, level)
            ]
            if not all(results):
                return False
            self._say_nothing_found(value, level)
        self.failures.append(FailureTuple(value, path, parent))
        return False

    def _parts(self, value: Any, level: int) -> Iterator[tuple[str, Any]]:
        for heading, parts in _groups(value):
            if heading:
                self.say(level, heading)
            yield from parts

    def _inspect_part(self, name: str, part: Any, path: tuple[str, ...], parent: Any, depth: int, level: int) -> bool:
        self.say(level + 1, f"Serializing '{name}' {_shortened(part)}...")
        return self.inspect(part, (*path, name), parent, depth - 1, level + 1)

    def _say_nothing_found(self, value: Any, level: int) -> None:
        self.say(
            level,
            f"WARNING: Did not find non-serializable object in {type(value).__name__} instance. It may be "
            "non-serializable by itself, or only together with others. Try calling "
            "`ray.util.inspect_serializability` on individual attributes to isolate the cause.",
        )

    def summarize(self, rule: str) -> None:
        found = "\n".join(repr(failure) for failure in self.failures)
        self.say(
            0,
            f"{rule}\nVariable: \n\n\t{found}\n\nwas found to be non-serializable. There may be multiple other "
            "undetected variables that were non-serializable. \nConsider either removing the instantiation/imports of "
            "these variables or moving the instantiation into the scope of the function/class. \n"
            f"{rule}\nCheck {_MANUAL} for more information.\n{rule}",
        )


def _shortened(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _groups(value: Any) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """The parts that a pickler would meet in `value`, under headings."""
    if inspect.ismethod(value):
        yield "", [("__self__", value.__self__), ("__func__", value.__func__)]
    elif inspect.isfunction(value):
        yield from _variables(value)
    elif isinstance(value, dict):
        yield "", [(f"[{_shortened(key)!r}]", item) for key, item in value.items()]
        yield "", [("key", key) for key in value if not isinstance(key, (str, int))]
    elif isinstance(value, (list, tuple)):
        yield "", [(f"[{index}]", item) for index, item in enumerate(value)]
    elif isinstance(value, (set, frozenset)):
        yield "", [("item", item) for item in value]
    else:
        yield "", _attributes(value)


def _variables(function: Callable[..., Any]) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    found = inspect.getclosurevars(function)
    yield f"Inspecting closure of '{function.__qualname__}':", []
    for kind, variables in (("global", found.globals), ("nonlocal", found.nonlocals)):
        if variables:
            yield f"Detected {len(variables)} {kind} variables. Checking serializability...", list(variables.items())
    defaults = [(name, p.default) for name, p in inspect.signature(function).parameters.items()]
    defaults = [(name, default) for name, default in defaults if default is not inspect.Parameter.empty]
    if defaults:
        yield f"Detected {len(defaults)} default values. Checking serializability...", defaults


def _attributes(value: Any) -> list[tuple[str, Any]]:
    """What an instance or a class holds itself; for the methods of a class, the functions behind them."""
    held = dict(vars(value)) if hasattr(value, "__dict__") else {}
    if isinstance(value, type):
        held = {name: getattr(item, "__func__", item) for name, item in held.items() if _is_users(name, item)}
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                held.setdefault(name, getattr(value, name))
    return list(held.items())


def _is_users(name: str, item: Any) -> bool:
    """Whether a class has this from its body, and not from the interpreter."""
    return inspect.isfunction(getattr(item, "__func__", item)) or not name.startswith("__")
