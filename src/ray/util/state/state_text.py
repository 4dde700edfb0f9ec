"""Rows of the state API as text: tables and YAML. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/<][\w./<>: -]*[\w/>.]|[A-Za-z_/]")
_RESERVED = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
_HEX = re.compile(r"(?!\d+e\d+$)(?=.*[a-df])[0-9a-f]+")
_IP = re.compile(r"\d+(\.\d+){3}")


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], first: str = "") -> str:
    """Columns two spaces apart, numbers to the right; `first` stands before each line's number."""
    cells = [[first + str(number), *(_cell(value) for value in row)] for number, row in enumerate(rows)]
    heads = ["", *headers]
    widths = [max(len(line[at]) for line in [heads, *cells]) for at in range(len(heads))]
    numeric = [all(re.fullmatch(r"-?\d+", line[at]) or not line[at] for line in cells) for at in range(len(heads))]

    def line(values: Sequence[str], is_head: bool) -> str:
        padded = [
            value.rjust(width) if number and not is_head else value.ljust(width)
            for value, width, number in zip(values, widths, numeric, strict=True)
        ]
        return "  ".join(padded).rstrip()

    return "\n".join([line(heads, True), *(line(values, False) for values in cells)])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {each}" for key, each in value.items()) if value else ""
    return str(value)


def time_text(ms: float) -> str:
    return str(datetime.fromtimestamp(ms / 1000).strftime("%Y-%m-%d %H:%M:%S.%f"))


def readable(value: Any, key: str = "") -> Any:
    """Times in ms as dates, wherever a key says so."""
    if isinstance(value, Mapping):
        return {name: readable(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [readable(each, key) for each in value]
    if key.endswith("_ms") and isinstance(value, (int, float)) and value > 0:
        return time_text(value)
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
    is_plain = _PLAIN.fullmatch(text) or _HEX.fullmatch(text) or _IP.fullmatch(text)
    if is_plain and text.lower() not in _RESERVED and ": " not in text and " #" not in text:
        return text
    if "'" in text or "\n" in text or "\\" in text or not text.isprintable():
        return json.dumps(text)
    return f"'{text}'"
