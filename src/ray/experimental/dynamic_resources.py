"""Resources that changed while a node ran: no more."""

from typing import Any, NoReturn


def set_resource(resource_name: str, capacity: float, node_id: Any = None) -> NoReturn:
    """Raises DeprecationWarning."""
    raise DeprecationWarning(
        "Dynamic custom resources are deprecated. Consider using placement groups instead. You can also specify "
        "resources at Ray start time."
    )
