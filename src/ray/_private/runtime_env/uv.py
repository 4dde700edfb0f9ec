"""The field `uv`, at the place where Ray 2.60 has its plug-in."""

from ray._private.not_included import absent_names
from ray._private.runtime_env.virtualenvs import UvPlugin

__getattr__ = absent_names(__name__, "See `virtualenvs` in the same package.", "UvProcessor get_uri _get_uv_hash")
__all__ = ["UvPlugin"]
