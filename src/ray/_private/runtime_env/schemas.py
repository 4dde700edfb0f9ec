"""JSON schemas of plug-ins' fields, so that a wrong value is refused where it is written.

Source: Ray docs, "Runtime environment plug-ins": RAY_RUNTIME_ENV_PLUGIN_SCHEMAS lists files and directories, separated
by commas; a schema's "title" is the name of the field.
"""

from __future__ import annotations

import functools
import json
import logging
import os
from pathlib import Path
from typing import Any

VARIABLE = "RAY_RUNTIME_ENV_PLUGIN_SCHEMAS"
SUFFIX = ".json"
_log = logging.getLogger("ray")


def validate(name: str, value: Any) -> None:
    """Raises jsonschema.ValidationError when there is a schema for the field and the value breaks it."""
    text = os.environ.get(VARIABLE)
    schema = _schemas(text).get(name) if text else None
    if schema is not None:
        import jsonschema

        jsonschema.validate(instance=value, schema=schema)


@functools.cache
def _schemas(text: str) -> dict[str, Any]:
    """By field. What is no schema is left out, with a word in the log: another's mistake is not the caller's."""
    found: dict[str, Any] = {}
    for place in filter(None, (each.strip() for each in text.split(","))):
        path = Path(place)
        for file in sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]:
            try:
                schema = json.loads(file.read_text())
            except (OSError, ValueError) as error:
                _log.error("The runtime env schema %s cannot be read: %s", file, error)
                continue
            if not isinstance(schema, dict) or "title" not in schema:
                _log.error("The runtime env schema %s has no 'title', which names the field.", file)
            elif schema["title"] in found:
                _log.error("There are two runtime env schemas for %r; %s is left out.", schema["title"], file)
            else:
                found[schema["title"]] = schema
    return found
