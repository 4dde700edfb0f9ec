"""Not included under this name. Directories are unpacked by `ray._private.runtime_env.packages_plugin`."""

from ray._private.not_included import absent_names

__getattr__ = absent_names(__name__, "Directories are unpacked by `ray._private.runtime_env.packages_plugin`.")
