"""Not included under this name. Environments of pip are built by `ray._private.runtime_env.virtualenvs`."""

from ray._private.not_included import absent_names

__getattr__ = absent_names(__name__, "Environments of pip are built by `ray._private.runtime_env.virtualenvs`.")
