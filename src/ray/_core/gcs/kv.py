"""The cluster's key-value table. Floor: gcs, pure."""

from __future__ import annotations


class KvTable:
    """Bytes by namespace and key."""

    def __init__(self) -> None:
        self._spaces: dict[str, dict[bytes, bytes]] = {}

    def put(self, namespace: str, key: bytes, value: bytes, overwrite: bool) -> bool:
        """Store; True when the key is new. An existing value stays unless `overwrite`."""
        space = self._spaces.setdefault(namespace, {})
        is_new = key not in space
        if is_new or overwrite:
            space[key] = value
        return is_new

    def get(self, namespace: str, key: bytes) -> bytes | None:
        return self._spaces.get(namespace, {}).get(key)

    def keys(self, namespace: str, prefix: bytes) -> list[bytes]:
        return [key for key in self._spaces.get(namespace, {}) if key.startswith(prefix)]

    def delete(self, namespace: str, key: bytes, by_prefix: bool) -> list[bytes]:
        """The keys that went."""
        gone = self.keys(namespace, key) if by_prefix else [key] * (self.get(namespace, key) is not None)
        for each in gone:
            del self._spaces[namespace][each]
        return gone
