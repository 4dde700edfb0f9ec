"""Which autoscaler runs."""

from typing import TYPE_CHECKING, Any

from ray._private.not_included import absent_names


def is_autoscaler_v2(*args: Any, **kwargs: Any) -> bool:
    """Never: there is no autoscaler."""
    return False


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "There is no autoscaler.",
        "ClusterStatusFormatter ClusterStatusParser ProtobufUtil ResourceRequestUtil",
    )
