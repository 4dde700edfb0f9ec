"""Which nodes a label selector means.

Floor: common, pure. A selector is a value by label key; the values are (core.md 9.4)
`v` (the label is v), `!v` (it is not v, or absent), `in(a,b)`, `!in(a,b)`; and, for the older
NodeLabelSchedulingStrategy, `*` (the label exists) and `!*` (it does not).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_IS_NAME = re.compile(NAME)
_IS_PREFIX = re.compile(rf"{NAME}(\.{NAME})*")
_LONGEST_PREFIX = 253
FORM = (
    "must be 63 chars or less beginning and ending with an alphanumeric character ([a-z0-9A-Z]) with dashes (-), "
    "underscores (_), dots (.), and alphanumerics between."
)


def wrong_key(key: str) -> str | None:
    """What is wrong with the key of a label: "name" or "dns.prefix/name"; None: nothing."""
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > _LONGEST_PREFIX or not _IS_PREFIX.fullmatch(prefix)):
        return (
            f"Invalid label key prefix `{prefix}`. Prefix must be a series of DNS labels separated by dots (.), not "
            f"longer than {_LONGEST_PREFIX} characters in total."
        )
    return None if _IS_NAME.fullmatch(name) else f"Invalid label key name `{name}`. Name {FORM}"


def wrong_value(value: str) -> str | None:
    """What is wrong with the value of a label, which may be ""; None: nothing."""
    return f"Invalid label key value `{value}`. Value {FORM}" if value and not _IS_NAME.fullmatch(value) else None


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
