"""Small helpers that libraries import."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import os
import random
import string
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ray._private.utils import get_system_memory as get_system_memory

RESOURCE_CONSTRAINT_PREFIX = "accelerator_type:"
PLACEMENT_GROUP_BUNDLE_RESOURCE_NAME = "bundle"
RANDOM_STRING_ALPHABET = string.ascii_lowercase + string.digits
_background: set[asyncio.Task[Any]] = set()


def env_integer(key: str, default: int) -> int:
    """The environment variable as an int; `default` when it is not set."""
    return int(os.environ[key]) if key in os.environ else default


def env_float(key: str, default: float) -> float:
    return float(os.environ[key]) if key in os.environ else default


def env_bool(key: str, default: bool) -> bool:
    """Whether the environment variable is "1" or "true"; `default` when it is not set."""
    return os.environ[key].lower() in ("1", "true") if key in os.environ else default


def import_module_and_attr(full_path: str, *, reload_module: bool = False) -> tuple[ModuleType, Any]:
    """The module and the attribute that "package.module.attr" or "package.module:attr" names."""
    if ":" in full_path:
        if full_path.count(":") > 1:
            raise ValueError(f'Invalid import path "{full_path}": it has more than one colon.')
        module_name, name = full_path.split(":")
    else:
        module_name, _, name = full_path.rpartition(".")
    if not module_name:
        raise ValueError(f'Invalid import path "{full_path}": it is "module.attribute" or "module:attribute".')
    module = importlib.import_module(module_name)
    if reload_module:
        module = importlib.reload(module)
    return module, getattr(module, name)


def import_attr(full_path: str, *, reload_module: bool = False) -> Any:
    return import_module_and_attr(full_path, reload_module=reload_module)[1]


def load_class(path: str) -> Any:
    """The class that "module.Class" names. ValueError for a path without a module."""
    if "." not in path:
        raise ValueError("You need to pass a valid path like mymodule.provider_class")
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def get_or_create_event_loop() -> asyncio.AbstractEventLoop:
    """The running event loop of this thread; else the one set for it; else a new one, which is then set."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    policy = asyncio.get_event_loop_policy()
    try:
        return policy.get_event_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        return loop


def run_background_task(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A task that is kept alive until it is done; asyncio itself holds tasks weakly."""
    task = get_or_create_event_loop().create_task(coroutine)
    _background.add(task)
    task.add_done_callback(_background.discard)
    return task


def resources_from_ray_options(options_dict: Mapping[str, Any]) -> dict[str, float]:
    """The amounts that options of a task or an actor ask for, by resource name.

    Raises:
        ValueError: `resources` names CPU, GPU, memory or object_store_memory.
    """
    amounts: dict[str, float] = dict(options_dict.get("resources") or {})
    if "CPU" in amounts or "GPU" in amounts:
        raise ValueError("The resources dictionary must not contain the key 'CPU' or 'GPU'")
    if "memory" in amounts or "object_store_memory" in amounts:
        raise ValueError("The resources dictionary must not contain the key 'memory' or 'object_store_memory'")
    for option, name in (("num_cpus", "CPU"), ("num_gpus", "GPU"), ("memory", "memory")):
        if options_dict.get(option) is not None:
            amounts[name] = options_dict[option]
    if options_dict.get("object_store_memory") is not None:
        amounts["object_store_memory"] = options_dict["object_store_memory"]
    if options_dict.get("accelerator_type") is not None:
        amounts[f"{RESOURCE_CONSTRAINT_PREFIX}{options_dict['accelerator_type']}"] = 0.001
    return amounts


def get_random_alphanumeric_string(length: int) -> str:
    return "".join(random.choices(RANDOM_STRING_ALPHABET, k=length))


def get_call_location(back: int = 1) -> str:
    """ "file:line" of the caller, or of the one `back - 1` calls above; "UNKNOWN" when there is none."""
    try:
        frame = sys._getframe(back + 1)
    except ValueError:
        return "UNKNOWN"
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def get_default_system_temp_dir() -> str:
    return os.environ.get("TMPDIR") or "/tmp"


def get_default_ray_temp_dir() -> str:
    """Where sessions are, unless `ray start --temp-dir` says otherwise."""
    return os.path.join(os.environ.get("RAY_TMPDIR") or get_default_system_temp_dir(), "ray")


def get_ray_address_file(temp_dir: str | None) -> str:
    """The file in which `ray start` records the address of the cluster that runs here."""
    return os.path.join(temp_dir or get_default_ray_temp_dir(), "ray_current_cluster")


def reset_ray_address(temp_dir: str | None = None) -> None:
    """Forget the recorded address."""
    Path(get_ray_address_file(temp_dir)).unlink(missing_ok=True)


def binary_to_hex(identifier: bytes) -> str:
    return identifier.hex()


def hex_to_binary(hex_identifier: str) -> bytes:
    return bytes.fromhex(hex_identifier)


def try_to_create_directory(directory_path: str) -> None:
    """Make the directory and those above it, if they are missing, with access for all users of the machine."""
    path = os.path.expanduser(directory_path)
    os.makedirs(path, exist_ok=True)
    try_make_directory_shared(path)


def try_make_directory_shared(directory_path: str) -> None:
    with contextlib.suppress(PermissionError):  # it is another user's, who decides who may use it
        os.chmod(directory_path, 0o0777)


def get_function_args(callable: Callable[..., Any]) -> list[str]:
    """Names of its parameters, without `*args` and `**kwargs`."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [name for name, p in inspect.signature(callable).parameters.items() if p.kind not in kinds]


def decode(byte_str: Any, allow_none: bool = False, encode_type: str = "utf-8") -> str:
    """The text of bytes. ValueError for anything else; None gives "" where it is allowed."""
    if byte_str is None and allow_none:
        return ""
    if not isinstance(byte_str, bytes):
        raise ValueError(f"The argument {byte_str} must be a bytes object.")
    return byte_str.decode(encode_type)


class TimerBase:
    """A clock that tests can replace."""

    def time(self) -> float:
        raise NotImplementedError


class Timer(TimerBase):
    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time()
