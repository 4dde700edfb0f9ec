"""`worker_process_setup_hook`: a function of the user's that each worker calls before it takes work.

Floor: worker, shell. The runtime-env agent puts into the worker's environment what to call: "module.function", or the
key in the key-value table under which the driver stored a pickled function.
"""

from __future__ import annotations

import importlib
import os
import traceback
from collections.abc import Callable
from typing import Any

from ray._core.store import serialization

VARIABLE = "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR"
KEY_PREFIX = "ray_runtime_env_func::"


def is_wanted() -> bool:
    """Whether this process is a worker with a hook. (Drivers inherit no such variable.)"""
    return VARIABLE in os.environ


def run(fetch: Callable[[bytes], bytes | None]) -> str:
    """Call the hook. Returns "" or, when it cannot be loaded or raises, the text of the failure.

    Args:
        fetch: gives the value of a key.
    """
    name = os.environ[VARIABLE]
    try:
        hook = _stored(name, fetch) if name.startswith(KEY_PREFIX) else _imported(name)
    except Exception:
        return f"Failed to load the worker_process_setup_hook {name!r}.\n{traceback.format_exc()}"
    try:
        hook()
    except Exception:
        return f"Failed to execute the worker_process_setup_hook.\n{traceback.format_exc()}"
    return ""


def _stored(key: str, fetch: Callable[[bytes], bytes | None]) -> Callable[[], Any]:
    blob = fetch(key.encode())
    if blob is None:
        raise RuntimeError("The driver's function is not in the cluster's key-value table; its job may have ended.")
    hook: Callable[[], Any] = serialization.load_code(blob)
    return hook


def _imported(name: str) -> Callable[[], Any]:
    module, _, function = name.rpartition(".")
    if not module:
        raise ValueError(f"The name of a hook is 'module.function', not {name!r}.")
    hook: Callable[[], Any] = getattr(importlib.import_module(module), function)
    return hook
