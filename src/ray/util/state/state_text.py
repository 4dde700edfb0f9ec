"""Rows of the state API as text: tables and YAML. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/<][\w./<>: -]*[\w/>.]|[A-Za-z_/]")
_RESERVED = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
_HEX = re.compile(r"(?!\d+e\d+$)(?=.*[a-df])[0-9a-f]+")
_IP = re.compile(r"\d+(\.\d+){3}")
_MEMORIES = ("memory", "object_store_memory")
_AMOUNT = re.compile(r"\d+(\.\d+)? [A-Za-z]+")


PADDING = 2
"""A column is at least so much wider than its header."""


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], *, number_right: bool = True) -> str:
    """Columns two spaces apart, those of numbers to the right, behind the number of each row.

    Args:
        number_right: where the numbers of the rows stand in their column.
    """
    cells = [[str(number), *(_cell(value) for value in row)] for number, row in enumerate(rows)]
    heads = ["", *headers]
    columns = list(zip(heads, *cells, strict=True))
    widths = [
        max(len(column[0]) + PADDING, *(len(line) for cell in column[1:] for line in cell.split("\n") or [""]))
        if cells
        else len(column[0]) + PADDING
        for column in columns
    ]
    is_right = [bool(cells) and _is_of_numbers(column[1:]) for column in columns]
    is_right[0] = number_right
    lines = []
    for cell_row in [heads, *cells]:
        for parts in zip_longest(*(cell.split("\n") for cell in cell_row), fillvalue=""):
            padded = [
                part.rjust(width) if right else part.ljust(width)
                for part, width, right in zip(parts, widths, is_right, strict=True)
            ]
            lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _is_of_numbers(cells: Sequence[str]) -> bool:
    return any(cells) and all(re.fullmatch(r"-?\d+", cell) or not cell for cell in cells)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {_scalar(value[key])}" for key in sorted(value)) if value else ""
    return str(value)


class Humanify:
    """Values as people read them."""

    @staticmethod
    def timestamp(x: float) -> str:
        """Of milliseconds since 1970, as this machine's clock shows it."""
        return str(datetime.fromtimestamp(x / 1000))

    @staticmethod
    def memory(x: float) -> str:
        """Of bytes."""
        return f"{x / (1 << 30):.3f} GiB"

    @staticmethod
    def duration(x: float) -> str:
        """Of milliseconds."""
        return str(timedelta(milliseconds=x))

    @staticmethod
    def events(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**event, "created_ms": Humanify.timestamp(event["created_ms"])} for event in events]

    @staticmethod
    def node_resources(resources: Mapping[str, Any]) -> dict[str, Any]:
        return {name: Humanify.memory(n) if name in _MEMORIES else n for name, n in resources.items()}


def readable(value: Any, key: str = "") -> Any:
    """Times in ms as dates and memory in GiB, wherever a key says that it is one."""
    if isinstance(value, Mapping):
        return {name: readable(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [readable(each, key) for each in value]
    if key.endswith("_ms") and isinstance(value, (int, float)) and value >= 0:
        return Humanify.timestamp(value)
    if key in _MEMORIES and isinstance(value, (int, float)):
        return Humanify.memory(value)
    return value


def yaml(value: Any) -> str:
    """A document of YAML: mappings and lists in block style, four spaces a level."""
    return "---\n" + "\n".join(_block(value, "")) + "\n..."


def _block(value: Any, indent: str) -> list[str]:
    lines: list[str] = []
    if isinstance(value, Mapping):
        for key, each in value.items():
            if isinstance(each, (Mapping, list)) and each:
                deeper = indent if isinstance(each, list) else indent + "    "
                lines += [f"{indent}{_scalar(key)}:", *_block(each, deeper)]
            else:
                lines.append(f"{indent}{_scalar(key)}: {_scalar(each)}")
        return lines
    for each in value:
        if isinstance(each, (Mapping, list)) and each:
            inner = _block(each, indent + "    ")
            lines += [f"{indent}-   {inner[0].lstrip()}", *inner[1:]]
        else:
            lines.append(f"{indent}-   {_scalar(each)}")
    return lines


def _scalar(value: Any) -> str:
    """Plain where YAML reads the same text back, else quoted as JSON does, which is YAML too."""
    if value is None or isinstance(value, (bool, int, float)) or value in ({}, []):
        return json.dumps(value)
    text = str(value)
    is_plain = any(each.fullmatch(text) for each in (_PLAIN, _HEX, _IP, _AMOUNT))
    if is_plain and text.lower() not in _RESERVED and ": " not in text and " #" not in text:
        return text
    if "'" in text or "\n" in text or "\\" in text or not text.isprintable():
        return json.dumps(text)
    return f"'{text}'"
