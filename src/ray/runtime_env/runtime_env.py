"""`RuntimeEnv`: what a worker's environment is made of, checked when it is written.

Source: Ray docs, "Environment dependencies". The checks are in `ray._private.runtime_env.validation`; who builds the
environment is in `ray._private.runtime_env.agent`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from typing import Any

from ray._core.worker.setup_hook import VARIABLE
from ray._private.runtime_env import schemas, validation
from ray._private.runtime_env.merge import merge_child, normalized
from ray._version import COMMIT

_log = logging.getLogger("ray")
_EXTENSIONS = ("_ray_release", "_ray_commit", "_inject_current_ray")


class RuntimeEnvConfig(dict[str, Any]):
    """How an environment is set up: `setup_timeout_seconds` (-1: no limit), `eager_install`, `log_files`."""

    known_fields = ("setup_timeout_seconds", "eager_install", "log_files")

    def __init__(
        self, setup_timeout_seconds: int = 600, eager_install: bool = True, log_files: list[str] | None = None
    ) -> None:
        super().__init__()
        self["setup_timeout_seconds"] = setup_timeout_seconds
        self["eager_install"] = eager_install
        self["log_files"] = log_files

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "setup_timeout_seconds":
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"setup_timeout_seconds must be of type int, got: {type(value)}")
            if value <= 0 and value != -1:
                raise ValueError(f"setup_timeout_seconds must be greater than zero or equals to -1, got: {value}")
        elif name == "eager_install":
            if not isinstance(value, bool):
                raise TypeError(f"eager_install must be a boolean. got {type(value)}")
        elif name == "log_files":
            value = [] if value is None else value
            if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
                raise TypeError(f"log_files must be a list of strings or None, got {value} with type {type(value)}.")
        super().__setitem__(name, value)

    @classmethod
    def parse_and_validate_runtime_env_config(cls, config: Mapping[str, Any]) -> RuntimeEnvConfig:
        """From a dict as users write it; unknown keys are warned about."""
        if isinstance(config, RuntimeEnvConfig):
            return config
        unknown = set(config) - set(cls.known_fields)
        if unknown:
            _log.warning(
                "The following unknown entries in the runtime_env_config dictionary will be ignored: %s.", unknown
            )
        return cls(**{key: value for key, value in config.items() if key in cls.known_fields})

    @classmethod
    def default_config(cls) -> RuntimeEnvConfig:
        return cls()

    def to_dict(self) -> dict[str, Any]:
        return dict(self)


def _check_config(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"runtime_env['config'] must be of type dict or RuntimeEnvConfig, got: {type(value)}")
    return RuntimeEnvConfig.parse_and_validate_runtime_env_config(value).to_dict()


class RuntimeEnv(dict[str, Any]):
    """A dict of the fields that were given, in their checked form; absent fields are absent keys.

    Args:
        py_modules: directories, wheels or URIs that go on the workers' sys.path.
        py_executable: command that is run instead of Python, such as "uv run".
        working_dir: directory, archive or URI that workers run in.
        pip, uv, conda: packages to install; at most one of the three.
        container, image_uri: image to run the worker in.
        env_vars: environment variables that are set before the worker's code starts; values may use `${NAME}`.
        worker_process_setup_hook: callable, or "module.function", called in each worker before its first task.
        nsight, rocprof_sys: profilers around the worker.
        config: see `RuntimeEnvConfig`.
        kwargs: fields of plug-ins, which are kept.
    Raises:
        TypeError, ValueError: a field of a wrong type or value, or fields that exclude each other.
    """

    known_fields = frozenset(
        {
            *("working_dir", "py_modules", "excludes", "pip", "uv", "conda", "container", "image_uri", "env_vars"),
            *("config", "py_executable", "worker_process_setup_hook", "_nsight", "_rocprof_sys", "java_jars"),
            *("_ray_release", "_ray_commit", "_inject_current_ray"),
        }
    )

    def __init__(
        self,
        *,
        py_modules: list[str] | None = None,
        py_executable: str | None = None,
        working_dir: str | None = None,
        pip: list[str] | str | dict[str, Any] | None = None,
        conda: dict[str, Any] | str | None = None,
        container: dict[str, Any] | None = None,
        env_vars: dict[str, str] | None = None,
        worker_process_setup_hook: Any = None,
        nsight: str | dict[str, str] | None = None,
        rocprof_sys: str | dict[str, Any] | None = None,
        config: Mapping[str, Any] | RuntimeEnvConfig | None = None,
        _validate: bool = True,
        image_uri: str | None = None,
        uv: list[str] | str | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        fields: dict[str, Any] = dict(kwargs)
        fields |= {
            "py_modules": py_modules,
            "py_executable": py_executable,
            "working_dir": working_dir,
            "pip": pip,
            "uv": uv,
            "conda": conda,
            "container": container,
            "image_uri": image_uri,
            "env_vars": env_vars,
            "worker_process_setup_hook": worker_process_setup_hook,
            "_nsight": nsight if nsight is not None else kwargs.get("_nsight"),
            "_rocprof_sys": rocprof_sys if rocprof_sys is not None else kwargs.get("_rocprof_sys"),
            "config": config,
        }
        given = {name: value for name, value in fields.items() if value is not None}
        if not _validate:
            self.update(given)
            return
        validation.check_together(given)
        for name, value in given.items():
            self[name] = value
        if self.get("pip") or self.get("conda"):
            self.setdefault("_ray_commit", COMMIT)

    def __setitem__(self, name: str, value: Any) -> None:
        """Give a field a value, checked as by the constructor; an empty one is no field."""
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = dataclasses.asdict(value)
        if name == "config":
            value = _check_config(value)
        elif name in validation.CHECKS and value is not None:
            value = validation.CHECKS[name](value)
            if not value and name in ("env_vars", "excludes", "pip", "uv"):
                value = None
        elif name not in self.known_fields and value is not None:
            schemas.validate(name, value)
        if value is None:
            self.pop(name, None)
        else:
            super().__setitem__(name, value)

    def set(self, name: str, value: Any) -> None:
        self[name] = value

    def get(self, name: str, default: Any = None, data_class: Any = None) -> Any:
        """A field's value; with `data_class`, made into one."""
        value = super().get(name, default)
        return data_class(**value) if data_class is not None and isinstance(value, dict) else value

    # ---------------------------------------------------------- as text

    def serialize(self) -> str:
        """JSON with sorted keys: equal environments have equal texts."""
        return json.dumps(self, sort_keys=True)

    @classmethod
    def deserialize(cls, serialized_runtime_env: str) -> RuntimeEnv:
        return cls(_validate=False, **json.loads(serialized_runtime_env or "{}"))

    def to_dict(self) -> dict[str, Any]:
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (dict(self),)

    # ---------------------------------------------------------- fields, as builders read them

    def has_working_dir(self) -> bool:
        return bool(self.get("working_dir"))

    def working_dir(self) -> str:
        return str(self.get("working_dir", ""))

    def working_dir_uri(self) -> str | None:
        value: str | None = self.get("working_dir")
        return value

    def py_modules(self) -> list[str]:
        return list(self.get("py_modules") or [])

    def py_modules_uris(self) -> list[str]:
        return self.py_modules()

    def env_vars(self) -> dict[str, str]:
        return dict(self.get("env_vars") or {})

    def has_conda(self) -> bool:
        return bool(self.get("conda"))

    def conda_env_name(self) -> str | None:
        """Name or path of an existing environment; None when the field describes one to build."""
        value = self.get("conda")
        return value if isinstance(value, str) else None

    def conda_config(self) -> str | None:
        """JSON of the environment to build; None when there is none to build."""
        value = self.get("conda")
        return json.dumps(value, sort_keys=True) if isinstance(value, dict) else None

    def conda_uri(self) -> str | None:
        value = self.get("conda")
        return f"conda://{validation.fingerprint(value)}" if value else None

    def has_pip(self) -> bool:
        return bool(self.get("pip"))

    def pip_config(self) -> dict[str, Any]:
        return self._installer("pip")

    def pip_uri(self) -> str | None:
        value = self.get("pip")
        return f"pip://{validation.fingerprint(value)}" if value else None

    def has_uv(self) -> bool:
        return bool(self.get("uv"))

    def uv_config(self) -> dict[str, Any]:
        config = self._installer("uv")
        return {"uv_pip_install_options": ["--no-cache"], **config} if config else {}

    def uv_uri(self) -> str | None:
        value = self.get("uv")
        return f"uv://{validation.fingerprint(value)}" if value else None

    def _installer(self, tool: str) -> dict[str, Any]:
        value = self.get(tool)
        if not value:
            return {}
        return dict(value) if isinstance(value, dict) else {"packages": list(value), f"{tool}_check": False}

    def virtualenv_name(self) -> str | None:
        """Path of an existing virtualenv: `pip` given as one text, after the checks. There is none with lists."""
        value = self.get("pip")
        return value if isinstance(value, str) else None

    def has_py_container(self) -> bool:
        return bool(self.get("container"))

    def py_container_image(self) -> str | None:
        value: str | None = self._container("image")
        return value

    def py_container_worker_path(self) -> str | None:
        value: str | None = self._container("worker_path")
        return value

    def py_container_run_options(self) -> list[str] | None:
        value: list[str] | None = self._container("run_options")
        return value

    def _container(self, key: str) -> Any:
        return self["container"].get(key) if self.has_py_container() else None

    def image_uri(self) -> str | None:
        value: str | None = self.get("image_uri")
        return value

    def java_jars(self) -> list[str]:
        return list(self.get("java_jars") or [])

    def nsight(self) -> str | dict[str, str] | None:
        value: str | dict[str, str] | None = self.get("_nsight")
        return value

    def rocprof_sys(self) -> str | dict[str, Any] | None:
        value: str | dict[str, Any] | None = self.get("_rocprof_sys")
        return value

    def get_extension(self, key: str) -> Any:
        """One of the fields with which Ray marks an environment. Raises ValueError for any other."""
        if key not in _EXTENSIONS:
            raise ValueError(f"Extension key must be one of {set(_EXTENSIONS)}, got: {key}")
        return self.get(key)

    def plugins(self) -> list[tuple[str, Any]]:
        """Fields that are none of Ray's own."""
        return [(name, value) for name, value in self.items() if name not in self.known_fields]

    def plugin_uris(self) -> list[str]:
        """Always empty, as in Ray: plug-ins say their URIs by `get_uris`."""
        return []


def _restored(fields: dict[str, Any]) -> RuntimeEnv:
    return RuntimeEnv(_validate=False, **fields)


def _merge_runtime_env(
    parent: Mapping[str, Any] | None, child: Mapping[str, Any] | None, override: bool = False
) -> dict[str, Any] | None:
    """Both environments in one, `env_vars` key by key; None when they name the same and it is not to be overridden."""
    parent, child = dict(parent or {}), dict(child or {})
    variables, more = parent.pop("env_vars", {}), child.pop("env_vars", {})
    if not override and (parent.keys() & child.keys() or variables.keys() & more.keys()):
        return None
    both = {**variables, **more}
    return {**parent, **child, **({"env_vars": both} if both else {})}


def _validate_no_local_paths(runtime_env: RuntimeEnv) -> None:
    """Raises ValueError when a directory or module is no URI, TypeError for anything but a RuntimeEnv."""
    if not isinstance(runtime_env, RuntimeEnv):
        raise TypeError(f"Expected type to be RuntimeEnv but received {type(runtime_env)} instead.")
    validation.check_only_uris(runtime_env)


def merged(parent: str, own: Mapping[str, Any] | None) -> str:
    """The environment of a child as normalized JSON, "" for none.

    Args:
        parent: of what makes the child, as JSON.
        own: what was passed for the child; checked here.
    """
    if not own:
        return parent
    checked = RuntimeEnv(**own)
    validation.check_only_uris(checked)
    if (hook := checked.get("worker_process_setup_hook")) is not None:
        if not isinstance(hook, str):
            raise ValueError(
                "A worker_process_setup_hook that is a function is only supported at the job level (i.e., passed to "
                "`ray.init`); a task or actor names one as 'module.function'."
            )
        checked["env_vars"] = {**checked.env_vars(), VARIABLE: hook}
    return normalized(merge_child(json.loads(parent) if parent else {}, checked))
