"""Not included: there is no autoscaler that would ask a node provider."""

from ray._private.not_included import Absent

NodeProvider = Absent("ray.autoscaler.node_provider.NodeProvider", "There is no autoscaler.")

__all__ = ["NodeProvider"]
