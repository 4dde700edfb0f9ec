"""The disk of the head: it keeps what was synced, whoever dies, and may be full or away for a while."""

from __future__ import annotations

from collections.abc import Iterable

from ray._core.gcs.storage import StorageError, Write


class Disk:
    """Tables, as a storage back end of the GCS has them on its disk; they outlive it."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[bytes, bytes]] = {}
        self.is_full = False
        self.commits = 0

    def open(self) -> SimStorage:
        return SimStorage(self)


class SimStorage:
    """What one gcs_server opened. Commits are all or nothing, and durable when they return (as with SQLite, FULL)."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def load(self, table: str) -> dict[bytes, bytes]:
        return dict(self._disk.tables.get(table, {}))

    def commit(self, writes: Iterable[Write]) -> None:
        if self._disk.is_full:
            raise StorageError("The disk of the simulation is full")
        for write in writes:
            rows = self._disk.tables.setdefault(write.table, {})
            if write.value is None:
                rows.pop(write.key, None)
            else:
                rows[write.key] = write.value
        self._disk.commits += 1

    def close(self) -> None: ...
