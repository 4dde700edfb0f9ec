"""Constants that libraries import."""

import os

from ray._core.node.params import LEAST_STORE

OBJECT_STORE_MINIMUM_MEMORY_BYTES = LEAST_STORE
DEFAULT_PORT = 6379
ID_SIZE = 28
RAY_ADDRESS_ENVIRONMENT_VARIABLE = "RAY_ADDRESS"
RAY_NAMESPACE_ENVIRONMENT_VARIABLE = "RAY_NAMESPACE"
RAY_RUNTIME_ENV_ENVIRONMENT_VARIABLE = "RAY_RUNTIME_ENV"
RAY_JOB_CONFIG_JSON_ENV_VAR = "RAY_JOB_CONFIG_JSON_ENV_VAR"
DEFAULT_DASHBOARD_IP = "127.0.0.1"
DEFAULT_DASHBOARD_PORT = 8265
DEFAULT_MAX_CONCURRENCY_ASYNC = 1000
DEFAULT_TASK_MAX_RETRIES = 3
NODE_ID_PREFIX = "node:"
RESOURCE_CONSTRAINT_PREFIX = "accelerator_type:"
CUDA_VISIBLE_DEVICES_ENV_VAR = "CUDA_VISIBLE_DEVICES"
WORKER_DIED_PUSH_ERROR = "worker_died"
PROCESS_TYPE_GCS_SERVER = "gcs_server"
PROCESS_TYPE_RAYLET = "raylet"
PROCESS_TYPE_REAPER = "reaper"
LOGGER_FORMAT = "%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s"
LOGGER_LEVEL = "info"


def env_integer(key: str, default: int) -> int:
    """The environment variable as an int; `default` when it is not set."""
    return int(os.environ[key]) if key in os.environ else default


def env_float(key: str, default: float) -> float:
    return float(os.environ[key]) if key in os.environ else default


def env_bool(key: str, default: bool) -> bool:
    """Whether the environment variable is "1" or "true"; `default` when it is not set."""
    return os.environ[key].lower() in ("1", "true") if key in os.environ else default
