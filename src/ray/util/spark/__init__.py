"""Ray clusters on Spark: not included."""

from ray._private.not_included import absent

MAX_NUM_WORKER_NODES = -1
_FUNCTIONS = "setup_global_ray_cluster setup_ray_cluster shutdown_ray_cluster"

globals().update(absent("ray.util.spark", _FUNCTIONS, "Start the nodes by `ray start` yourself."))
