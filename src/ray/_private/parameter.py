"""Not included: a node's parameters are `ray._core.node.params.NodeParams`."""

from ray._private.not_included import absent_names

__getattr__ = absent_names(__name__, "A node's parameters are ray._core.node.params.NodeParams.")
