"""Where objects are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray import ObjectRef
from ray._core.common.errors import GetTimeoutError, RaySystemError
from ray._core.common.messages import GetObjects
from ray._private.auto_init_hook import auto_init_core


def get_object_locations(
    obj_refs: Sequence[ObjectRef[Any]], timeout_ms: int = -1
) -> dict[ObjectRef[Any], dict[str, Any]]:
    """Where objects are, by what this process knows of its own, and their owners of others.

    Args:
        timeout_ms: how long to wait for owners; negative: as long as it takes.
    Returns:
        By ref, `node_ids` (hex; none while the object does not exist), `object_size` (bytes; None if not known) and
        `did_spill`. A small object is with its owner; one that this process does not own may have copies unknown here.
    Raises:
        TypeError: something else than a list of refs.
        GetTimeoutError: an owner has not answered in time.
    """
    if not isinstance(obj_refs, (list, tuple)):
        raise TypeError(f"A list of ObjectRefs is needed, not {type(obj_refs).__name__}.")
    for ref in obj_refs:
        if not isinstance(ref, ObjectRef):
            raise TypeError(f"A list of ObjectRefs is needed; this item is none: {ref!r}.")
    core: Any = auto_init_core()
    _ask_owners(core, obj_refs, timeout_ms)
    return _locations(core, obj_refs)


def get_local_object_locations(obj_refs: Sequence[ObjectRef[Any]]) -> dict[ObjectRef[Any], dict[str, Any]]:
    """As `get_object_locations`, by what this process knows: nobody is asked."""
    return _locations(auto_init_core(), obj_refs)


def _ask_owners(core: Any, refs: Sequence[ObjectRef[Any]], timeout_ms: int) -> None:
    """Have the owners of borrowed objects tell their values, as far as there are any yet."""
    owners = {}
    with core.lock:
        core.refs.drain()
        for ref in refs:
            entry = core.objects.get(ref.binary())
            if entry is not None and entry.value is None and entry.owner is not None:
                core.refs.fetch(ref.binary(), entry)
                if entry.value is None:  # else the owner has ended
                    owners[entry.owner.worker_id] = core.peer(entry.owner)
    for connection in owners.values():
        try:  # its answer comes after the values that were asked for before it
            core.ask(connection, GetObjects(object_ids=[]), None if timeout_ms < 0 else timeout_ms / 1000)
        except RaySystemError as error:
            raise GetTimeoutError(f"Where the objects are was not told within {timeout_ms} ms. {error}") from error


def _locations(core: Any, refs: Sequence[ObjectRef[Any]]) -> dict[ObjectRef[Any], dict[str, Any]]:
    with core.lock:
        core.refs.drain()
        return {ref: _location(core, ref) for ref in refs}


def _location(core: Any, ref: ObjectRef[Any]) -> dict[str, Any]:
    entry = core.objects.get(ref.binary())
    value = None if entry is None else entry.value
    if value is None:
        return {"node_ids": [], "object_size": None, "did_spill": False}
    if value.location is None:
        node = core.node if entry.owner is None else entry.owner
        return {"node_ids": [node.node_id.hex()], "object_size": len(value.blob or b""), "did_spill": False}
    places = [value.location, *entry.copies] + ([entry.here] if entry.here is not None else [])
    return {
        "node_ids": list(dict.fromkeys(place.node_id.hex() for place in places)),
        "object_size": value.location.size,
        "did_spill": entry.is_moved,
    }
