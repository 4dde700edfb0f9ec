"""Not included under this name: see `ray._core.store.serialization`."""

from ray._private.not_included import absent_names

__getattr__ = absent_names(__name__, "Use ray.util.register_serializer and ray.cloudpickle.")
