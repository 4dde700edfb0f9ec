"""Not included under this name: see `ray._core.common.accelerators`."""

from ray._private.not_included import absent_names

__getattr__ = absent_names(__name__, "Accelerators are told by num_gpus= and resources=.")
