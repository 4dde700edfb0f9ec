"""Constants of logging and of actors that libraries import from here."""

from ray._common.utils import env_integer

LOGGING_ROTATE_BYTES = env_integer("RAY_ROTATION_MAX_BYTES", 512 * 1024 * 1024)
LOGGING_ROTATE_BACKUP_COUNT = env_integer("RAY_ROTATION_BACKUP_COUNT", 5)
DEFAULT_MAX_CONCURRENCY_ASYNC = 1000
