"""Why nodes are drained. Messages: names can be imported, since nothing here speaks gRPC."""

from typing import TYPE_CHECKING, Any

from ray._private.not_included import absent_names
from ray.core.generated.schema import build

_ENUMS = {
    "DrainNodeReason": "DRAIN_NODE_REASON_UNSPECIFIED DRAIN_NODE_REASON_IDLE_TERMINATION DRAIN_NODE_REASON_PREEMPTION",
}
globals().update(build("autoscaler", _ENUMS, {}))

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...  # the names come from the table
else:
    __getattr__ = absent_names(__name__, "Its processes do not speak gRPC with each other.")
