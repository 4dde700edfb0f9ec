"""Not included under this name: `ray.timeline()` makes traces (`ray._private.timeline`)."""

from ray._private.not_included import absent_names

__getattr__ = absent_names(__name__, "Use ray.timeline().")
