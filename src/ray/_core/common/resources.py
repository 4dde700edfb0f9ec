"""Amounts of resources in fixed point, so that a thousand tenths of a CPU are exactly a hundred CPUs.

Floor: common, pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

MOST_UNITS = 1 << 60
"""Of one resource, in one request or of one node (115 TB of memory): sums of several still fit into 64 bits."""
UNIT = 10_000
"""Fixed point: 1.0 of a resource is 10,000 units (Ray's precision is 0.0001)."""

Resources = dict[str, int]
"""Amount by resource name, in units of 1/10,000, none negative, none zero."""


def to_fixed(amounts: Mapping[str, float]) -> Resources:
    """Fixed-point amounts of what users write; zero amounts are left out. Raises ValueError for what is too much."""
    fixed = {name: round(value * UNIT) for name, value in amounts.items()}
    for name, units in fixed.items():
        if units > MOST_UNITS:
            raise ValueError(f"{amounts[name]!r} of the resource {name!r} is too much: at most {MOST_UNITS // UNIT}.")
    return {name: units for name, units in fixed.items() if units}


def to_float(amounts: Mapping[str, int]) -> dict[str, float]:
    return {name: units / UNIT for name, units in amounts.items()}


def fits(demand: Mapping[str, int], available: Mapping[str, int]) -> bool:
    """Whether `available` holds all of `demand`."""
    return all(available.get(name, 0) >= units for name, units in demand.items())


def missing(demand: Mapping[str, int], total: Mapping[str, int]) -> Resources:
    """How much of each resource `total` lacks for `demand`; empty when it fits."""
    short = {name: units - total.get(name, 0) for name, units in demand.items()}
    return {name: units for name, units in short.items() if units > 0}


def subtract(amounts: Resources, demand: Mapping[str, int]) -> None:
    """Take `demand` out of `amounts`, which may go below zero (a worker that woke takes its CPU back)."""
    for name, units in demand.items():
        amounts[name] = amounts.get(name, 0) - units


def add(amounts: Resources, more: Mapping[str, int]) -> None:
    for name, units in more.items():
        amounts[name] = amounts.get(name, 0) + units


def total(parts: Iterable[Mapping[str, int]]) -> Resources:
    result: Resources = {}
    for part in parts:
        add(result, part)
    return result


def describe(amounts: Mapping[str, int]) -> str:
    """`{'CPU': 1.0, 'GPU': 0.5}`: for messages and reports."""
    return str({name: units / UNIT for name, units in sorted(amounts.items())})
