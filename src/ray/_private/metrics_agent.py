"""Not included: raylets answer `GET /metrics` themselves (`ray._core.raylet.metrics_server`)."""

from ray._private.not_included import absent_names

__getattr__ = absent_names(__name__, "Raylets answer GET /metrics themselves.")
