"""Parameters of functions: which arguments fit, and arguments as one flat list."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

DUMMY_TYPE = b"__RAY_DUMMY__"
"""Stands in a flat list for the name of a positional argument."""


def get_signature(func: Any) -> inspect.Signature:
    """Raises TypeError or ValueError for what has none."""
    return inspect.signature(func)


def extract_signature(func: Any, ignore_first: bool = False) -> list[inspect.Parameter]:
    """The parameters; without the first one, `self`, if asked.

    Raises:
        ValueError: there is no `self`.
    """
    parameters = list(get_signature(func).parameters.values())
    if not ignore_first:
        return parameters
    if not parameters:
        raise ValueError(f"Methods must take a 'self' argument, but the method '{func.__name__}' does not have one.")
    return parameters[1:]


def validate_args(
    signature_parameters: Sequence[inspect.Parameter], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Raises TypeError for arguments that do not fit."""
    try:
        inspect.Signature(parameters=signature_parameters).bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(str(error)) from None


def flatten_args(
    signature_parameters: Sequence[inspect.Parameter], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Any]:
    """Names and values in turn. Raises TypeError for arguments that do not fit."""
    validate_args(signature_parameters, args, kwargs)
    flat: list[Any] = [part for arg in args for part in (DUMMY_TYPE, arg)]
    return flat + [part for item in kwargs.items() for part in item]


def recover_args(flattened_args: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The reverse of `flatten_args`."""
    assert len(flattened_args) % 2 == 0, "Flattened arguments need to be even-numbered."
    pairs = list(zip(flattened_args[::2], flattened_args[1::2], strict=True))
    args = [value for name, value in pairs if name == DUMMY_TYPE]
    return args, {name: value for name, value in pairs if name != DUMMY_TYPE}
