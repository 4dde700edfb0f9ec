"""The field `pip`, at the place where Ray 2.60 has its plug-in."""

from ray._private.not_included import absent_names
from ray._private.runtime_env.virtualenvs import PipPlugin

__getattr__ = absent_names(__name__, "See `virtualenvs` in the same package.", "PipProcessor get_uri _get_pip_hash")
__all__ = ["PipPlugin"]
