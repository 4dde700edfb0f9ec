"""The field `rocprof_sys`, at the place where Ray 2.60 has its plug-in."""

from ray._private.runtime_env.wrappers import RocprofSysPlugin

__all__ = ["RocprofSysPlugin"]
