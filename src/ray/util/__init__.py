"""`ray.util`: the library of helpers over the public API.

Names are looked up at their first use (PEP 562), so importing the package imports none of its parts.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray._private.named_actors import list_named_actors
    from ray._private.services import get_node_instance_id, get_node_ip_address
    from ray.util import accelerators, iter
    from ray.util.actor_pool import ActorPool
    from ray.util.check_serialize import inspect_serializability
    from ray.util.client_connect import connect, disconnect
    from ray.util.debug import disable_log_once_globally, enable_periodic_logging, log_once
    from ray.util.explaining import explain
    from ray.util.helpers import as_completed, map_unordered
    from ray.util.placement_group import (
        get_current_placement_group,
        get_placement_group,
        placement_group,
        placement_group_table,
        remove_placement_group,
    )
    from ray.util.serialization import deregister_serializer, register_serializer

_HOMES = {
    "ray._private.named_actors": "list_named_actors",
    "ray._private.services": "get_node_instance_id get_node_ip_address",
    "ray.util.actor_pool": "ActorPool",
    "ray.util.annotations": "PublicAPI",
    "ray.util.check_serialize": "inspect_serializability",
    "ray.util.client_connect": "connect disconnect",
    "ray.util.debug": "disable_log_once_globally enable_periodic_logging log_once",
    "ray.util.explaining": "explain",
    "ray.util.helpers": "as_completed map_unordered",
    "ray.util.placement_group": (
        "get_current_placement_group get_placement_group placement_group placement_group_table remove_placement_group"
    ),
    "ray.util.serialization": "deregister_serializer register_serializer",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}
_MODULES = {"pdb": "ray.util.rpdb", "ray_debugpy": "ray.util.debugpy"}
"""Modules that this package shows under another name."""


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        """The import of the module `placement_group` sets the attribute of that name; users mean the function."""
        if name in _HOME_OF and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __reduce__(self) -> Any:
        """By name, as any module: cloudpickle knows how to pickle those of the plain class only."""
        return importlib.import_module, (self.__name__,)


sys.modules[__name__].__class__ = _Package


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted

    def __getattr__(name: str) -> Any:
        if name in _HOME_OF:
            value = getattr(importlib.import_module(_HOME_OF[name]), name)
        elif name.startswith("__"):
            raise AttributeError(f"module 'ray.util' has no attribute {name!r}")
        else:
            module = _MODULES.get(name, f"ray.util.{name}")
            try:
                value = importlib.import_module(module)
            except ModuleNotFoundError as error:
                if error.name != module:
                    raise
                raise AttributeError(f"module 'ray.util' has no attribute {name!r}") from None
        globals()[name] = value  # the next look finds it without coming here
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "ActorPool",
    "accelerators",
    "as_completed",
    "connect",
    "deregister_serializer",
    "disable_log_once_globally",
    "disconnect",
    "enable_periodic_logging",
    "explain",
    "get_current_placement_group",
    "get_node_instance_id",
    "get_node_ip_address",
    "get_placement_group",
    "inspect_serializability",
    "iter",
    "list_named_actors",
    "log_once",
    "map_unordered",
    "placement_group",
    "placement_group_table",
    "register_serializer",
    "remove_placement_group",
]
