"""Not included: `ray.util.state` asks the cluster itself."""

from ray._private.not_included import absent_names

__getattr__ = absent_names(__name__, "ray.util.state asks the cluster itself.")
