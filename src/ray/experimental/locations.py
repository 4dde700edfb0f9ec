"""Where objects are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray import ObjectRef
from ray._private.auto_init_hook import auto_init_core


def get_object_locations(
    obj_refs: Sequence[ObjectRef[Any]], timeout_ms: int = -1
) -> dict[ObjectRef[Any], dict[str, Any]]:
    """What this process knows of where objects are.

    Args:
        timeout_ms: of no effect: nobody else is asked.
    Returns:
        By ref, `node_ids` (hex; none while the object does not exist), `object_size` (bytes; None if not known) and
        `did_spill`. A small object is with its owner; one that this process does not own may have copies unknown here.
    Raises:
        TypeError: something else than a list of refs.
    """
    if not isinstance(obj_refs, (list, tuple)):
        raise TypeError(f"A list of ObjectRefs is needed, not {type(obj_refs).__name__}.")
    for ref in obj_refs:
        if not isinstance(ref, ObjectRef):
            raise TypeError(f"A list of ObjectRefs is needed; this item is none: {ref!r}.")
    core: Any = auto_init_core()
    with core.lock:
        core.refs.drain()
        return {ref: _location(core, ref) for ref in obj_refs}


def get_local_object_locations(obj_refs: Sequence[ObjectRef[Any]]) -> dict[ObjectRef[Any], dict[str, Any]]:
    """As `get_object_locations`."""
    return get_object_locations(obj_refs)


def _location(core: Any, ref: ObjectRef[Any]) -> dict[str, Any]:
    entry = core.objects.get(ref.binary())
    value = None if entry is None else entry.value
    if value is None:
        return {"node_ids": [], "object_size": None, "did_spill": False}
    if value.location is None:
        size = len(value.blob or b"")
        return {"node_ids": [core.node.node_id.hex()], "object_size": size, "did_spill": False}
    places = [value.location, *entry.copies] + ([entry.here] if entry.here is not None else [])
    return {
        "node_ids": list(dict.fromkeys(place.node_id.hex() for place in places)),
        "object_size": value.location.size,
        "did_spill": entry.is_moved,
    }
