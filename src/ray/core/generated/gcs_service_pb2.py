"""Not included: pure-ray's processes do not speak gRPC with each other. Names can be imported."""

from ray._private.not_included import absent_names

__getattr__ = absent_names(__name__, "Its processes do not speak gRPC with each other.")
