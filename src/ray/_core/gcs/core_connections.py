"""Which drivers and workers are connected, from which node. Floor: gcs, pure but for the connections it remembers."""

from __future__ import annotations

from ray._core.wire.aio import Connection


class CoreConnections:
    """A core worker that reconnects has two connections for a while: the end of the older one is not its end."""

    def __init__(self) -> None:
        self._newest: dict[bytes, Connection] = {}
        self._of_node: dict[bytes, dict[Connection, None]] = {}
        self._ids: dict[Connection, tuple[bytes, bytes]] = {}

    def __repr__(self) -> str:
        return f"<CoreConnections connections={len(self._ids)} nodes={len(self._of_node)}>"

    def opened(self, connection: Connection, worker_id: bytes, node_id: bytes) -> None:
        self._newest[worker_id] = connection
        self._of_node.setdefault(node_id, {})[connection] = None
        self._ids[connection] = (worker_id, node_id)

    def closed(self, connection: Connection) -> bool:
        """Whether that was the newest connection of a core worker; False also for what is none of these."""
        worker_id, node_id = self._ids.pop(connection, (b"", b""))
        of_node = self._of_node.get(node_id, {})
        of_node.pop(connection, None)
        if not of_node:
            self._of_node.pop(node_id, None)
        if self._newest.get(worker_id) is not connection:
            return False
        del self._newest[worker_id]
        return True

    def of_node(self, node_id: bytes) -> list[Connection]:
        return list(self._of_node.get(node_id, ()))
