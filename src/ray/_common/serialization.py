"""Pickling with an error that names what cannot be pickled."""

from __future__ import annotations

import io
from typing import Any

from ray import cloudpickle
from ray.util.check_serialize import inspect_serializability


def pickle_dumps(obj: Any, error_msg: str) -> bytes:
    """By cloudpickle. Raises TypeError: `error_msg`, and which part of `obj` it is."""
    try:
        pickled: bytes = cloudpickle.dumps(obj)
    except (TypeError, OverflowError) as error:
        report = io.StringIO()
        inspect_serializability(obj, print_file=report)
        raise TypeError(f"{error_msg}:\n{report.getvalue()}") from error
    return pickled
