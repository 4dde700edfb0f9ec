"""Not included: raylets answer `GET /metrics` themselves (`ray._core.raylet.metrics_server`)."""

from ray._private.not_included import absent_names

RAY_WORKER_TIMEOUT_S = "RAY_WORKER_TIMEOUT_S"
__getattr__ = absent_names(__name__, "Raylets answer GET /metrics themselves.")
