"""Lists in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def split(items: list[Any], chunk_size: int) -> Iterator[list[Any]]:
    """Lists of `chunk_size` items, the last one maybe shorter. Raises AssertionError for a size below 1."""
    assert chunk_size > 0, "chunk_size must be greater than 0"
    for start in range(0, len(items), chunk_size):
        yield items[start : start + chunk_size]
