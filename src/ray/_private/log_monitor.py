"""Not included: each node's agent follows the files of its workers (`ray._core.agent`)."""

from ray._private.not_included import absent_names

LOG_NAME_UPDATE_INTERVAL_S = 0.5
RAY_LOG_MONITOR_MANY_FILES_THRESHOLD = 1000

__getattr__ = absent_names(__name__, "Each node's agent follows the files of its workers.")
