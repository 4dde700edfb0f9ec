"""Not included: there is no autoscaler."""

from ray._private.not_included import absent_names

__getattr__ = absent_names(__name__, "There is no autoscaler; see ray.nodes() and `ray status`.")
