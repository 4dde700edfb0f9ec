"""Functions and classes of the user on their way to workers: pickled once per job, refused when they are huge.

Floor: worker. What a function captures is what it captured at its first call.
"""

from __future__ import annotations

import hashlib
import logging
import os
import weakref
from typing import Any

from ray._core.common import messages as m
from ray._core.common.packages import function_key
from ray._core.store import serialization

_log = logging.getLogger("ray")
WARN_BYTES = 10_000_000
ERROR_BYTES = 100_000_000
"""Unless the variable FUNCTION_SIZE_ERROR_THRESHOLD says otherwise, as in Ray."""
INLINE_BYTES = 100 * 1024
"""What is larger is put into the key-value table once, instead of travelling to each worker of each owner; it goes with
its job."""


class Exports:
    """Functions of one session."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self.is_used = False
        """Something was exported: without that the job runs nothing anywhere."""
        self._blobs: weakref.WeakKeyDictionary[Any, tuple[str, bytes]] = weakref.WeakKeyDictionary()

    def export(self, code: Any, kind: str) -> tuple[str, bytes]:
        """Key and pickle of a function or class; the pickle is empty when the key-value table has it. Not locked.

        Args:
            kind: "remote function" or "actor class", for the warning.
        Raises:
            ValueError: it is too large.
        """
        try:
            found = self._blobs.get(code)
        except TypeError:  # not hashable, or no weak references to it
            return self._export(code, kind)
        if found is None:
            found = self._blobs[code] = self._export(code, kind)
        return found

    def _export(self, code: Any, kind: str) -> tuple[str, bytes]:
        self.is_used = True
        blob = serialization.dump_code(code)
        check_size(len(blob), kind, f"{code.__module__}.{code.__qualname__}")
        key = hashlib.sha1(blob).hexdigest()
        if len(blob) > INLINE_BYTES:
            key = function_key(self._core.job_id, key)
            self._core.ask_gcs(m.KvPut(namespace="fun", key=key.encode(), value=blob, overwrite=False))
            blob = b""
        return key, blob


def check_size(size_bytes: int, kind: str, name: str) -> None:
    """Warn of what takes long to send. Raises ValueError for what is too large."""
    limit = int(os.environ.get("FUNCTION_SIZE_ERROR_THRESHOLD", ERROR_BYTES))
    tip = (
        "Check that its definition is not implicitly capturing a large array or other object in scope. "
        "Tip: use ray.put() to put large objects in the Ray object store."
    )
    size = f"{size_bytes // (1024 * 1024)} MiB"
    if size_bytes > limit:
        at_most = f"FUNCTION_SIZE_ERROR_THRESHOLD={limit // (1024 * 1024)} MiB"
        raise ValueError(f"The {kind} {name} is too large ({size} > {at_most}). {tip}")
    if size_bytes > WARN_BYTES:
        _log.warning("The %s %s is very large (%s). %s", kind, name, size, tip)
