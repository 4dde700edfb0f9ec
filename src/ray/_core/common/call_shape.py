"""Which arguments a function takes, small and picklable: the caller checks a call before it sends it.

Floor: common, pure. A call with only positional arguments costs two comparisons; one with keywords is looked up
among the forms of call seen before.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

_FORMS_KEPT = 256
"""Forms of call remembered per function; more than that only a function with `**kwargs` can have."""


@dataclasses.dataclass(frozen=True, slots=True)
class CallShape:
    """Names in order. `required`: how many of `positional` have no default. `positional_only`: how many of them
    have no keyword."""

    positional: tuple[str, ...] = ()
    positional_only: int = 0
    required: int = 0
    has_args: bool = False
    keyword_only: tuple[str, ...] = ()
    required_keywords: tuple[str, ...] = ()
    has_kwargs: bool = False

    def check(self, count: int, names: Mapping[str, Any]) -> None:
        """Whether `count` positional arguments and keywords `names` fit.

        Raises:
            TypeError: they do not; the text says which argument is wrong.
        """
        positional = self.positional
        if count > len(positional) and not self.has_args:
            raise TypeError(f"too many positional arguments: {count} given, at most {len(positional)} taken")
        by_position = positional[:count]
        by_keyword = positional[self.positional_only :]
        for name in names:
            if name in by_keyword:
                if name in by_position:
                    raise TypeError(f"multiple values for argument {name!r}")
            elif name not in self.keyword_only and not self.has_kwargs:
                raise TypeError(f"got an unexpected keyword argument {name!r}")
        for index in range(count, self.required):
            name = positional[index]
            if name not in names or index < self.positional_only:
                raise TypeError(f"missing a required argument: {name!r}")
        for name in self.required_keywords:
            if name not in names:
                raise TypeError(f"missing a required argument: {name!r}")


ANY = CallShape(has_args=True, has_kwargs=True)
"""For functions that do not tell what they take (built in ones)."""


def shape_of(function: Callable[..., Any], skip: int = 0) -> CallShape:
    """The shape of `function` without its first `skip` parameters (`self`)."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return ANY
    kinds = inspect.Parameter
    positional = [p for p in parameters if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)][skip:]
    keyword_only = [p for p in parameters if p.kind is kinds.KEYWORD_ONLY]
    return CallShape(
        positional=tuple(p.name for p in positional),
        positional_only=sum(p.kind is kinds.POSITIONAL_ONLY for p in positional),
        required=sum(p.default is kinds.empty for p in positional),
        has_args=any(p.kind is kinds.VAR_POSITIONAL for p in parameters),
        keyword_only=tuple(p.name for p in keyword_only),
        required_keywords=tuple(p.name for p in keyword_only if p.default is kinds.empty),
        has_kwargs=any(p.kind is kinds.VAR_KEYWORD for p in parameters),
    )


def parameters_of(shape: CallShape) -> list[inspect.Parameter]:
    """A signature with this shape. Defaults are not part of a shape; where there is one, None stands for it."""
    kinds, parameters = inspect.Parameter, list[inspect.Parameter]()
    for index, name in enumerate(shape.positional):
        kind = kinds.POSITIONAL_ONLY if index < shape.positional_only else kinds.POSITIONAL_OR_KEYWORD
        default = kinds.empty if index < shape.required else None
        parameters.append(inspect.Parameter(name, kind, default=default))
    if shape.has_args:
        parameters.append(inspect.Parameter("args", kinds.VAR_POSITIONAL))
    for name in shape.keyword_only:
        default = kinds.empty if name in shape.required_keywords else None
        parameters.append(inspect.Parameter(name, kinds.KEYWORD_ONLY, default=default))
    if shape.has_kwargs:
        parameters.append(inspect.Parameter("kwargs", kinds.VAR_KEYWORD))
    return parameters


class CallChecker:
    """`shape` prepared for the hot path: callers compare with `least` and `most`, and call `check` for the rest."""

    __slots__ = ("_forms", "_shape", "least", "most")

    def __init__(self, shape: CallShape) -> None:
        self._shape = shape
        self._forms: set[tuple[Any, ...]] = set()
        self.least = shape.required
        """With this many positional arguments, at least, and no keyword, a call fits."""
        self.most = 1 << 30 if shape.has_args else len(shape.positional)
        if shape.required_keywords:
            self.least, self.most = 1, 0  # no call without keywords fits

    def check(self, count: int, kwargs: Mapping[str, Any]) -> None:
        """Raises TypeError when the call does not fit."""
        form = (count, *kwargs)
        if form in self._forms:
            return
        self._shape.check(count, kwargs)
        if len(self._forms) < _FORMS_KEPT:
            self._forms.add(form)
