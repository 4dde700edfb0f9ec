"""Interfaces that may change: `internal_kv`, `tqdm_ray`, where objects are."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ray._private import submodule

if TYPE_CHECKING:
    from ray.experimental.dynamic_resources import set_resource
    from ray.experimental.locations import get_local_object_locations, get_object_locations

_HOME_OF = {
    "get_local_object_locations": "ray.experimental.locations",
    "get_object_locations": "ray.experimental.locations",
    "set_resource": "ray.experimental.dynamic_resources",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _HOME_OF:
            return getattr(importlib.import_module(_HOME_OF[name]), name)
        return submodule(__name__, name)


__all__ = ["get_local_object_locations", "get_object_locations", "set_resource"]
