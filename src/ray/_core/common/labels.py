"""Which nodes a label selector means.

Floor: common, pure. A selector is a value by label key; the values are (core.md 9.4)
`v` (the label is v), `!v` (it is not v, or absent), `in(a,b)`, `!in(a,b)`; and, for the older
NodeLabelSchedulingStrategy, `*` (the label exists) and `!*` (it does not).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache


@lru_cache(maxsize=4096)
def _parse(value: str) -> tuple[bool, frozenset[str] | None]:
    """(negated, the values meant); None: any value."""
    negated = value.startswith("!")
    rest = value[1:] if negated else value
    if rest == "*":
        return negated, None
    if rest.startswith("in(") and rest.endswith(")"):
        return negated, frozenset(part.strip() for part in rest[3:-1].split(","))
    return negated, frozenset((rest,))


def matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a node with `labels` satisfies every part of `selector`; an empty one is always satisfied."""
    for key, value in selector.items():
        negated, values = _parse(value)
        label = labels.get(key)
        found = label is not None and (values is None or label in values)
        if found == negated:
            return False
    return True
