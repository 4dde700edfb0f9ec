"""The field `py_executable`, at the place where Ray 2.60 has its plug-in."""

from ray._private.runtime_env.wrappers import PyExecutablePlugin

__all__ = ["PyExecutablePlugin"]
