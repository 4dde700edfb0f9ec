"""`JobConfig`: what a driver says of its whole job (`ray.init(job_config=…)`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class JobConfig:
    """Settings of a job. Honoured now: the namespace; `ray.init` refuses the others when they are set."""

    def __init__(
        self,
        runtime_env: Mapping[str, Any] | None = None,
        metadata: dict[str, str] | None = None,
        ray_namespace: str | None = None,
    ) -> None:
        self.metadata: dict[str, str] = {}
        for key, value in (metadata or {}).items():
            self.set_metadata(key, value)
        self.ray_namespace = ray_namespace
        self.runtime_env: dict[str, Any] = {}
        self.set_runtime_env(runtime_env)

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

    @classmethod
    def from_json(cls, job_config_json: Mapping[str, Any]) -> JobConfig:
        """From a dict with the constructor's names."""
        return cls(**job_config_json)
