"""Whose objects lie on this node, so that they can be freed when their owner has ended. Floor: raylet, pure.

An owner that lives frees its objects itself. One that has ended cannot: then this table tells what it has left here.
"""

from __future__ import annotations


class OwnerTable:
    def __init__(self) -> None:
        self._owner_of: dict[bytes, bytes] = {}
        self._owned: dict[bytes, set[bytes]] = {}

    def __repr__(self) -> str:
        return f"<OwnerTable owners={len(self._owned)} objects={len(self._owner_of)}>"

    def came(self, object_id: bytes, owner_id: bytes) -> None:
        """The object has come to this node; again, if its task ran twice or it was brought back from disk."""
        self._owner_of[object_id] = owner_id
        self._owned.setdefault(owner_id, set()).add(object_id)

    def knows(self, object_id: bytes) -> bool:
        return object_id in self._owner_of

    def freed(self, object_id: bytes) -> None:
        """It is here no more; one that was not changes nothing."""
        owner_id = self._owner_of.pop(object_id, None)
        if owner_id is None:
            return
        owned = self._owned[owner_id]
        owned.discard(object_id)
        if not owned:
            del self._owned[owner_id]

    def of(self, owner_id: bytes) -> list[bytes]:
        return list(self._owned.get(owner_id, ()))

    def validate(self) -> None:
        listed = {object_id: owner_id for owner_id, owned in self._owned.items() for object_id in owned}
        assert listed == self._owner_of
        assert all(self._owned.values()), "an owner of nothing"
