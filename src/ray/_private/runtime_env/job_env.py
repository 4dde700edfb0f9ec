"""The environment of a whole job: what `ray.init` was given, checked, merged and with its directories uploaded."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

from ray._core.common import messages as m
from ray._core.common.errors import RuntimeEnvSetupError
from ray._core.common.packages import in_parts
from ray._core.worker.setup_hook import KEY_PREFIX, VARIABLE
from ray._private import hooks
from ray._private.runtime_env import packaging, uris, uv_run
from ray._private.runtime_env.merge import merge_job, normalized

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker

JOB_CONFIG_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""How the supervisor of a submitted job tells its driver what was submitted (JSON of a job config)."""


def submitted_config() -> dict[str, Any]:
    """The job config that came with the job's submission; empty for a driver that nobody submitted."""
    text = os.environ.get(JOB_CONFIG_VARIABLE)
    config: dict[str, Any] = json.loads(text) if text else {}
    return config


def job_environment(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the job asks for, all in all; local paths are still paths.

    Args:
        given: what the driver passed.
    Raises:
        TypeError, ValueError: what was passed cannot be, or contradicts what was submitted.
    """
    from ray.runtime_env import RuntimeEnv

    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f"runtime_env must be a dict or a RuntimeEnv, got {type(given)}.")
    wanted = uv_run.adapted(_hooked(dict(given or {})))
    own = dict(RuntimeEnv(**with_paths(wanted)))
    submitted = submitted_config().get("runtime_env") or {}
    if not submitted:
        return own
    return merge_job(submitted, own, driver_wins=os.environ.get("RAY_OVERRIDE_JOB_RUNTIME_ENV") == "1")


def _hooked(wanted: dict[str, Any]) -> dict[str, Any]:
    """What RAY_RUNTIME_ENV_HOOK="module.function" makes of it."""
    hook = hooks.load("RAY_RUNTIME_ENV_HOOK")
    return wanted if hook is None else dict(hook(wanted) or {})


def with_paths(wanted: dict[str, Any]) -> dict[str, Any]:
    """Modules become the paths of their code, and paths are checked, before anything starts."""
    result = dict(wanted)
    if (directory := result.get("working_dir")) is not None:
        result["working_dir"] = _checked_directory(directory)
    modules = result.get("py_modules")
    if isinstance(modules, list):
        result["py_modules"] = [path for each in modules for path in _module_paths(each)]
    return result


def _checked_directory(value: Any) -> str:
    if not isinstance(value, (str, Path)):
        raise TypeError(f"working_dir must be a string or Path (either a local path or remote URI), got {type(value)}.")
    text = str(value)
    if uris.has_scheme(text):
        return text
    path = Path(text).expanduser().absolute()
    if not path.is_dir() and not (path.is_file() and uris.is_archive(path.name)):
        raise ValueError(
            f"directory {path} must be an existing directory or a supported archive ({', '.join(uris.ARCHIVES)})"
        )
    return str(path)


def _module_paths(value: Any) -> list[str]:
    if isinstance(value, ModuleType):
        places = list(getattr(value, "__path__", ())) or [value.__file__]
        return [str(place) for place in places if place]
    if isinstance(value, Path):
        return [str(value)]
    if not isinstance(value, str):
        raise TypeError(f"py_modules must be a list of file paths, URIs, or Python modules, got {type(value)}.")
    if uris.has_scheme(value):
        return [value]
    path = Path(value).expanduser().absolute()
    if not path.is_dir() and not path.name.endswith((".py", *uris.MODULE_FILES)):
        raise ValueError(f"py_modules entry {value} must be an existing directory, or a .py, .whl or archive file.")
    return [str(path)]


# ------------------------------------------------------------------ uploading


def cluster_store(core: CoreWorker) -> packaging.Store:
    """The key-value table as a store of packages."""

    def exists(uri: str) -> bool:
        return bool(core.ask_gcs(m.KvExists(namespace="", key=uri.encode())).count)

    def put(uri: str, package: BinaryIO) -> None:
        for key, part in in_parts(uri, package):
            core.ask_gcs(m.KvPut(namespace="", key=key.encode(), value=part))

    return packaging.Store(exists, put)


def function_store(core: CoreWorker) -> Callable[[str, bytes], None]:
    """The key-value table as a store of pickled functions."""

    def put(key: str, blob: bytes) -> None:
        core.ask_gcs(m.KvPut(namespace="fun", key=key.encode(), value=blob))

    return put


def upload(wanted: Mapping[str, Any], store: packaging.Store, put_function: Callable[[str, bytes], None]) -> str:
    """`upload_fields`, as normalized JSON, "" for none."""
    return normalized(upload_fields(wanted, store, put_function))


def upload_fields(
    wanted: Mapping[str, Any], store: packaging.Store, put_function: Callable[[str, bytes], None]
) -> dict[str, Any]:
    """Make everything in it available to the nodes. Returns the environment with URIs for local paths.

    Args:
        put_function: stores a pickled function under a key.
    Raises:
        RuntimeEnvSetupError: something is too large, cannot be pickled, or the cluster did not take it.
    """
    result = dict(wanted)
    excludes = result.pop("excludes", None) or []
    if (directory := result.get("working_dir")) and not uris.is_uri(directory):
        path = Path(directory)
        if path.is_dir():
            result["working_dir"] = packaging.upload_directory(store, path, excludes)
        else:
            result["working_dir"] = packaging.upload_file(store, path)
    if modules := result.get("py_modules"):
        result["py_modules"] = [_upload_module(store, each, excludes) for each in modules]
    if (hook := result.get("worker_process_setup_hook")) is not None:
        _export_hook(result, hook, put_function)
    return result


def _upload_module(store: packaging.Store, module: str, excludes: list[str]) -> str:
    if uris.is_uri(module):
        return module
    path = Path(module)
    if path.is_dir():
        return packaging.upload_directory(store, path, excludes, keep_name=True)
    return packaging.upload_file(store, path, as_module=path.suffix == ".py")


def _export_hook(result: dict[str, Any], hook: Any, put_function: Callable[[str, bytes], None]) -> None:
    """Replace a callable by its name, and tell the workers by a variable where to find it."""
    variables = dict(result.get("env_vars") or {})
    if VARIABLE in variables:
        return  # came with the job's submission
    if isinstance(hook, str):
        variables[VARIABLE] = hook
    elif callable(hook):
        from ray._core.store import serialization

        try:
            blob = serialization.dump_code(hook)
        except Exception as error:
            raise RuntimeEnvSetupError(f"Failed to export the setup function: {error}") from error
        key = f"{KEY_PREFIX}{hashlib.sha1(blob).hexdigest()}"
        put_function(key, blob)
        variables[VARIABLE] = key
        result["worker_process_setup_hook"] = getattr(hook, "__name__", "setup_hook")
    else:
        raise TypeError(f"worker_process_setup_hook must be a function, or a str that names one, got {type(hook)}.")
    result["env_vars"] = variables
