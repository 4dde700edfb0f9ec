"""`JobConfig`: what a driver says of its whole job (`ray.init(job_config=…)`)."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from ray._private.logging_config import LoggingConfig

_LIFETIMES = ("detached", "non_detached")


class JobConfig:
    """Settings of a job.

    Args:
        jvm_options: for workers of Java, which there are none of here; kept and told again.
        code_search_path: directories that the job's workers import from as well.
        runtime_env: environment of the job's workers.
        metadata: describes the job to people.
        ray_namespace: of the job's named actors.
        default_actor_lifetime: "detached" or "non_detached", for actors whose options do not say.
        _disable_job_level_lineage_reconstruction: objects of the job that are lost stay lost.
        _py_driver_sys_path: as `code_search_path`.
    Raises:
        TypeError, ValueError: a value that cannot be.
    """

    def __init__(
        self,
        jvm_options: list[str] | None = None,
        code_search_path: list[str] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        _client_job: bool = False,
        metadata: dict[str, str] | None = None,
        ray_namespace: str | None = None,
        default_actor_lifetime: str = "non_detached",
        _disable_job_level_lineage_reconstruction: bool = False,
        _py_driver_sys_path: list[str] | None = None,
    ) -> None:
        self.jvm_options = list(jvm_options or [])
        if isinstance(code_search_path, str):
            raise TypeError(f"The type of code search path is incorrect: {type(code_search_path)}")
        self.code_search_path = list(code_search_path or [])
        self._client_job = _client_job
        self.metadata: dict[str, str] = {}
        for key, value in (metadata or {}).items():
            self.set_metadata(key, value)
        self.ray_namespace = ray_namespace
        self.runtime_env: dict[str, Any] = {}
        self.set_runtime_env(runtime_env)
        self.set_default_actor_lifetime(default_actor_lifetime)
        self._disable_job_level_lineage_reconstruction = _disable_job_level_lineage_reconstruction
        self._py_driver_sys_path = list(_py_driver_sys_path or [])
        self.py_logging_config: LoggingConfig | None = None

    def set_metadata(self, key: str, value: str) -> None:
        """Describe the job. Raises TypeError for anything but strings."""
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"The metadata of a job is str by str; this item is not: {key!r}: {value!r}")
        self.metadata[key] = value

    def set_runtime_env(self, runtime_env: Mapping[str, Any] | None, validate: bool = False) -> None:
        """The environment of the job's workers; always checked."""
        from ray.runtime_env import RuntimeEnv

        self.runtime_env = RuntimeEnv(**(runtime_env or {})).to_dict()

    def set_ray_namespace(self, ray_namespace: str) -> None:
        self.ray_namespace = ray_namespace

    def set_default_actor_lifetime(self, default_actor_lifetime: str) -> None:
        if default_actor_lifetime not in _LIFETIMES:
            raise ValueError(
                f"Default actor lifetime must be one of `detached`, `non_detached`, not {default_actor_lifetime!r}"
            )
        self.default_actor_lifetime = default_actor_lifetime

    def set_py_logging_config(self, logging_config: LoggingConfig | None = None) -> None:
        """How the root loggers of the driver and of the job's workers write, unless `ray.init` is told itself."""
        self.py_logging_config = logging_config

    def get_serialized(self) -> bytes:
        """As JSON, with the constructor's names."""
        return json.dumps(self._arguments(), sort_keys=True).encode()

    @classmethod
    def from_json(cls, job_config_json: Mapping[str, Any]) -> Self:
        """From a dict with the constructor's names; others are not looked at."""
        names = (
            "jvm_options",
            "code_search_path",
            "runtime_env",
            "metadata",
            "ray_namespace",
            "default_actor_lifetime",
        )
        return cls(
            **{name: job_config_json[name] for name in names if name in job_config_json},
            _client_job=job_config_json.get("client_job", False),
            _py_driver_sys_path=job_config_json.get("py_driver_sys_path"),
        )

    def _arguments(self) -> dict[str, Any]:
        return {
            "jvm_options": self.jvm_options,
            "code_search_path": self.code_search_path,
            "runtime_env": self.runtime_env,
            "_client_job": self._client_job,
            "metadata": self.metadata,
            "ray_namespace": self.ray_namespace,
            "default_actor_lifetime": self.default_actor_lifetime,
            "_disable_job_level_lineage_reconstruction": self._disable_job_level_lineage_reconstruction,
            "_py_driver_sys_path": self._py_driver_sys_path,
        }

    def __reduce__(self) -> Any:
        """By the constructor, so that each side's Ray makes one of its own."""
        state = {"py_logging_config": self.py_logging_config} if self.py_logging_config is not None else None
        return functools.partial(type(self), **self._arguments()), (), state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Also that of an original client, which sends its fields."""
        self.__dict__.update(state)
        if "_default_actor_lifetime" in state:
            self.default_actor_lifetime = _LIFETIMES[state["_default_actor_lifetime"]]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """`LoggingConfig` is imported from here too; a job's config alone should not load it."""
        if name != "LoggingConfig":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from ray._private.logging_config import LoggingConfig

        return LoggingConfig
