"""Labels of nodes, and the selectors that tasks, actors and bundles name them by: their forms, checked.

Source: Ray docs, "Label-based scheduling". `validate_*` of keys and selectors return what is wrong, or None.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ray._core.common.labels import FORM, NAME, wrong_key, wrong_value
from ray._core.node.params import LABEL_PREFIX

_IS_SELECTOR = re.compile(rf"(!?({NAME})?)|(!?in\(\s*{NAME}(\s*,\s*{NAME})*\s*\))")


def validate_label_key(key: str) -> str | None:
    return wrong_key(key)


def validate_label_value(value: str) -> None:
    """Raises ValueError; "" is a value."""
    wrong = wrong_value(value)
    if wrong:
        raise ValueError(wrong)


def validate_label_selector_value(selector: str) -> str | None:
    """`v`, `!v`, `in(a,b)` or `!in(a,b)`."""
    if not _IS_SELECTOR.fullmatch(selector):
        return (
            f"Invalid label selector value `{selector}`. The label selector value should contain optional operators "
            f"and a label value. Supported operators are: ! and {{'in'}}. Value {FORM}"
        )
    return None


def validate_label_selector(label_selector: Mapping[str, str] | None) -> str | None:
    """Raises TypeError unless keys and values are texts."""
    for key, selector in (label_selector or {}).items():
        if not isinstance(key, str) or not isinstance(selector, str):
            raise TypeError(f"A label selector is a dict of str by str; this item is not: {key!r}: {selector!r}")
        wrong = validate_label_key(key) or validate_label_selector_value(selector)
        if wrong:
            return wrong
    return None


def validate_fallback_strategy(fallback_strategy: list[dict[str, Any]] | None) -> str | None:
    for choice in fallback_strategy or []:
        if not isinstance(choice, dict):
            return "Each element in fallback_strategy must be a dictionary."
        if not choice:
            return "Empty dictionary found in `fallback_strategy`."
        for option in choice:
            if option != "label_selector":
                return f"Unsupported option found: '{option}'. Only ['label_selector'] is currently supported."
        wrong = validate_label_selector(choice["label_selector"])
        if wrong:
            return wrong
    return None


def validate_node_label_syntax(labels: Mapping[str, str]) -> None:
    """Raises ValueError for labels that no node can have."""
    for key, value in labels.items():
        wrong = validate_label_key(key)
        if wrong:
            raise ValueError(wrong)
        validate_label_value(value)


def validate_node_labels(labels: Mapping[str, str] | None) -> None:
    """Raises ValueError for names that are the system's."""
    for key in labels or {}:
        if key.startswith(LABEL_PREFIX):
            raise ValueError(
                f"Custom label keys `{key}` cannot start with the prefix `{LABEL_PREFIX}`. "
                "This is reserved for Ray defined labels."
            )


def parse_node_labels_string(labels_str: str) -> dict[str, str]:
    """Labels of "key=value,key=value". Raises ValueError."""
    labels: dict[str, str] = {}
    for pair in labels_str.split(",") if labels_str.strip() else ():
        parts = [part.strip() for part in pair.split("=")]
        if len(parts) != 2:
            raise ValueError("Label string is not a key-value pair.")
        labels[parts[0]] = parts[1]
    validate_node_label_syntax(labels)
    return labels


def parse_node_labels_json(labels_json: str) -> dict[str, str]:
    """Labels of a JSON object. Raises ValueError."""
    labels = json.loads(labels_json)
    if not isinstance(labels, dict):
        raise ValueError("The format after deserialization is not a key-value pair map")
    for key, value in labels.items():
        if not isinstance(value, str):
            raise ValueError(f'The value of the "{key}" is not string type')
    validate_node_label_syntax(labels)
    return labels


def parse_node_labels_from_yaml_file(path: str) -> dict[str, str]:
    """Labels of a YAML file; none for "". Raises ValueError, and OSError for a file that cannot be read."""
    if not path:
        return {}
    import yaml

    with open(path) as file:
        labels = yaml.safe_load(file)
    if not isinstance(labels, dict):
        raise ValueError("The format after deserialization is not a key-value pair map.")
    for key, value in labels.items():
        if not isinstance(key, str):
            raise ValueError("The key is not string type.")
        if not isinstance(value, str):
            raise ValueError(f'The value of "{key}" is not string type.')
    validate_node_label_syntax(labels)
    return labels
