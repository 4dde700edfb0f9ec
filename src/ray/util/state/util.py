"""Values of filters, from texts."""

from __future__ import annotations


def convert_string_to_type(val: object, convert_type: type) -> int | float | bool | str:
    """`val` as an int, float, bool or str. Raises ValueError when the text is none of that type."""
    if convert_type is bool:
        if str(val).lower() in ("true", "1"):
            return True
        if str(val).lower() in ("false", "0"):
            return False
        raise ValueError(f"Failed to convert a value {val} of type {type(val)} to {convert_type}")
    try:
        converted: int | float | str = convert_type(val)
    except ValueError:
        raise ValueError(f"Failed to convert a value {val} of type {type(val)} to {convert_type}") from None
    return converted
