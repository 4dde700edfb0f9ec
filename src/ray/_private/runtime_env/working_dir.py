"""The field `working_dir`, at the place where Ray 2.60 has its plug-in."""

from ray._private.not_included import absent_names
from ray._private.runtime_env.packages_plugin import WorkingDirPlugin

__getattr__ = absent_names(
    __name__,
    "See `job_env` and `packages_plugin` in the same package.",
    "set_pythonpath_in_context upload_working_dir_if_needed",
)
__all__ = ["WorkingDirPlugin"]
