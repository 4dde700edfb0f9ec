"""Not included under this name. Containers are entered by `ray._private.runtime_env.wrappers`."""

from ray._private.not_included import absent_names

__getattr__ = absent_names(__name__, "Containers are entered by `ray._private.runtime_env.wrappers`.")
