"""`RuntimeEnv`: what a worker's environment is made of, checked when it is written.

Source: Ray docs, "Environment dependencies". Fields that the engine cannot build yet are refused by name, since a
task that ran without what it asked for would fail in a place nobody looks at.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from typing import Any

_log = logging.getLogger("ray")
_NOT_YET = (
    "working_dir",
    "py_modules",
    "excludes",
    "pip",
    "uv",
    "conda",
    "container",
    "image_uri",
    "py_executable",
    "worker_process_setup_hook",
    "nsight",
    "_nsight",
    "rocprof_sys",
    "_rocprof_sys",
    "java_jars",
)
_CONFIG_KEYS = ("setup_timeout_seconds", "eager_install", "log_files")


class RuntimeEnvConfig(dict[str, Any]):
    """How an environment is set up: `setup_timeout_seconds` (-1: no limit), `eager_install`, `log_files`."""

    def __init__(
        self, setup_timeout_seconds: int = 600, eager_install: bool = True, log_files: list[str] | None = None
    ) -> None:
        if not isinstance(setup_timeout_seconds, int):
            raise TypeError(f"setup_timeout_seconds is an int, not {type(setup_timeout_seconds).__name__}.")
        if setup_timeout_seconds < 1 and setup_timeout_seconds != -1:
            raise ValueError(f"setup_timeout_seconds is above 0, or -1 for no limit, not {setup_timeout_seconds}.")
        if not isinstance(eager_install, bool):
            raise TypeError(f"eager_install is a bool, not {type(eager_install).__name__}.")
        if log_files is not None and not isinstance(log_files, list):
            raise TypeError(f"log_files is a list of paths, not {type(log_files).__name__}.")
        super().__init__(
            setup_timeout_seconds=setup_timeout_seconds, eager_install=eager_install, log_files=log_files or []
        )

    @classmethod
    def parse_and_validate(cls, config: Mapping[str, Any]) -> RuntimeEnvConfig:
        """From a dict as users write it; unknown keys are warned about."""
        unknown = sorted(set(config) - set(_CONFIG_KEYS))
        if unknown:
            _log.warning("Unknown keys in the runtime env's config are ignored: %s", ", ".join(unknown))
        return cls(**{key: value for key, value in config.items() if key in _CONFIG_KEYS})

    def to_dict(self) -> dict[str, Any]:
        return dict(self)


class RuntimeEnv(dict[str, Any]):
    """A dict of the fields that were given, in their checked form.

    Args:
        env_vars: environment variables that are set before the worker's code starts.
        config: see `RuntimeEnvConfig`.
        kwargs: other fields of Ray, which are refused, and fields of plug-ins, which are kept.
    Raises:
        TypeError, ValueError: a field of a wrong type or value.
        NotImplementedError: a field of Ray's that is not available yet.
    """

    def __init__(
        self,
        *,
        env_vars: dict[str, str] | None = None,
        config: Mapping[str, Any] | RuntimeEnvConfig | None = None,
        _validate: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        for name, value in kwargs.items():
            self.set(name, value)
        if env_vars is not None:
            self.set("env_vars", env_vars)
        if config is not None:
            self.set("config", config)

    def set(self, name: str, value: Any) -> None:
        """Give a field a value, which is checked as by the constructor."""
        if value is None:
            self.pop(name, None)
        elif name in _NOT_YET:
            raise NotImplementedError(
                f"The field {name!r} of runtime_env is not available yet in this version; env_vars is."
            )
        elif name == "env_vars":
            _check_env_vars(value)
            if value:
                self[name] = dict(value)
        elif name == "config":
            if not isinstance(value, Mapping):
                raise TypeError(f"runtime_env['config'] is a dict or RuntimeEnvConfig, not {type(value).__name__}.")
            self[name] = RuntimeEnvConfig.parse_and_validate(value).to_dict()
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            self[name] = dataclasses.asdict(value)
        else:
            self[name] = value

    def get(self, name: str, default: Any = None, data_class: Any = None) -> Any:
        """A field's value; with `data_class`, made into one."""
        value = super().get(name, default)
        return data_class(**value) if data_class is not None and isinstance(value, dict) else value

    def serialize(self) -> str:
        """JSON with sorted keys: equal environments have equal texts."""
        return json.dumps(self, sort_keys=True)

    @classmethod
    def deserialize(cls, text: str) -> RuntimeEnv:
        return cls(_validate=False, **json.loads(text or "{}"))

    def to_dict(self) -> dict[str, Any]:
        return dict(self)

    def env_vars(self) -> dict[str, str]:
        return dict(self.get("env_vars", {}))

    def plugins(self) -> list[tuple[str, Any]]:
        """Fields that are none of Ray's own."""
        return [(name, value) for name, value in self.items() if name not in ("env_vars", "config")]

    def __reduce__(self) -> tuple[Any, ...]:
        return RuntimeEnv.deserialize, (self.serialize(),)


def _check_env_vars(value: Any) -> None:
    if not isinstance(value, dict):
        raise TypeError(f"runtime_env['env_vars'] must be of type Dict[str, str], got {type(value)}")
    for key, text in value.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(
                "runtime_env['env_vars'] must be of type Dict[str, str], "
                f"but this item is not: {key!r}: {text!r} ({type(key).__name__}, {type(text).__name__})"
            )


def merged(parent: str, own: Mapping[str, Any] | None) -> str:
    """The environment of a child as normalized JSON, "" for none.

    Fields of `own` replace the parent's, except `env_vars`, which are merged key by key.
    Source: Ray docs, "Environment dependencies", "Inheritance".
    """
    if not own:
        return parent
    inherited = json.loads(parent) if parent else {}
    checked = RuntimeEnv(**own)
    result = {**inherited, **checked}
    variables = {**inherited.get("env_vars", {}), **checked.get("env_vars", {})}
    if variables:
        result["env_vars"] = variables
    return json.dumps(result, sort_keys=True) if result else ""
