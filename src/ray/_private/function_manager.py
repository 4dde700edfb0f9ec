"""Not included under this name: see `ray._core.worker.functions`."""

from ray._private.not_included import absent_names

__getattr__ = absent_names(__name__, "Functions are exported by the core worker.")
