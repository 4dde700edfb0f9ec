"""Environments of workers (`ray.runtime_env`). Available now: `env_vars`, and `config`."""

from ray.runtime_env.runtime_env import RuntimeEnv, RuntimeEnvConfig

__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]
