"""Not included under this name. Modules are unpacked by `ray._private.runtime_env.packages_plugin`."""

from ray._private.not_included import absent_names

__getattr__ = absent_names(__name__, "Modules are unpacked by `ray._private.runtime_env.packages_plugin`.")
