"""The field `nsight`, at the place where Ray 2.60 has its plug-in."""

from ray._private.runtime_env.wrappers import NsightPlugin

__all__ = ["NsightPlugin"]
