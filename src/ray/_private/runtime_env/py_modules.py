"""The field `py_modules`, at the place where Ray 2.60 has its plug-in."""

from ray._private.not_included import absent_names
from ray._private.runtime_env.packages_plugin import PyModulesPlugin

__getattr__ = absent_names(
    __name__, "See `job_env` and `packages_plugin` in the same package.", "upload_py_modules_if_needed"
)
__all__ = ["PyModulesPlugin"]
