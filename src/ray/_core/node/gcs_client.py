"""`GcsClient`: what libraries ask the GCS for, over a connection of its own; no session is needed.

Floor: node, shell.
"""

from __future__ import annotations

import threading
from typing import Any

from ray._core.common import messages as m
from ray._core.common.ids import JobID, NodeID
from ray._core.node import membership
from ray._core.wire import blocking

Text = str | bytes
DRAIN_REASONS = (
    "DRAIN_NODE_REASON_UNSPECIFIED",
    "DRAIN_NODE_REASON_IDLE_TERMINATION",
    "DRAIN_NODE_REASON_PREEMPTION",
)
"""By their numbers in `autoscaler_pb2`."""


class GcsClient:
    """Connects at its first question; may be used by several threads.

    Args:
        address: "host:port" of the GCS.
    """

    def __init__(self, address: str, cluster_id: Any = None) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._client: blocking.Client | None = None

    def __repr__(self) -> str:
        return f"<GcsClient of {self._address}>"

    @property
    def address(self) -> str:
        return self._address

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def internal_kv_get(self, key: Text, namespace: Text | None = None, timeout: float | None = None) -> bytes | None:
        value: bytes | None = self._ask(m.KvGet(namespace=_text(namespace), key=_bytes(key)), timeout).value
        return value

    def internal_kv_put(
        self,
        key: Text,
        value: Text,
        overwrite: bool = False,
        namespace: Text | None = None,
        timeout: float | None = None,
    ) -> int:
        """How many keys came to be: 0 when it was there before."""
        request = m.KvPut(namespace=_text(namespace), key=_bytes(key), value=_bytes(value), overwrite=overwrite)
        count: int = self._ask(request, timeout).count
        return count

    def internal_kv_del(
        self, key: Text, del_by_prefix: bool = False, namespace: Text | None = None, timeout: float | None = None
    ) -> int:
        """How many keys went."""
        request = m.KvDel(namespace=_text(namespace), key=_bytes(key), by_prefix=del_by_prefix)
        count: int = self._ask(request, timeout).count
        return count

    def internal_kv_exists(self, key: Text, namespace: Text | None = None, timeout: float | None = None) -> bool:
        return bool(self._ask(m.KvExists(namespace=_text(namespace), key=_bytes(key)), timeout).count)

    def internal_kv_keys(
        self, prefix: Text, namespace: Text | None = None, timeout: float | None = None
    ) -> list[bytes]:
        keys: list[bytes] = self._ask(m.KvKeys(namespace=_text(namespace), prefix=_bytes(prefix)), timeout).keys
        return keys

    def get_all_node_info(self, timeout: float | None = None) -> dict[NodeID, m.NodeInfo]:
        """Every node, dead ones too."""
        return {NodeID(info.node_id): info for info in self._ask(m.ListNodes(), timeout).nodes}

    def get_all_job_info(self, timeout: float | None = None, **filters: Any) -> dict[JobID, m.JobInfo]:
        """Every job, ended ones too."""
        return {JobID(info.job_id): info for info in self._ask(m.ListJobs(), timeout).jobs}

    def check_alive(self, node_ids: list[NodeID], timeout: float | None = None) -> list[bool]:
        """Which of these nodes are alive."""
        nodes = self.get_all_node_info(timeout)
        return [node_id in nodes and nodes[node_id].state == "ALIVE" for node_id in node_ids]

    def drain_node(
        self,
        node_id: str | bytes,
        reason: int,
        reason_message: str,
        deadline_timestamp_ms: int,
        timeout: float | None = None,
    ) -> tuple[bool, str]:
        """Let nothing new come to a node, which ends when nothing is left on it.

        Args:
            node_id: in hex, or binary.
            reason: a `DrainNodeReason`: 1 for an idle node, which is refused when it is busy, 2 for one that will go.
            deadline_timestamp_ms: when it will be gone, since 1970.
        Returns:
            Whether it is drained now, and why not. A node that does not live needs no draining.
        """
        binary = bytes.fromhex(node_id) if isinstance(node_id, str) else node_id
        request = m.DrainNode(
            node_id=binary, reason=DRAIN_REASONS[reason], message=reason_message, deadline_ms=deadline_timestamp_ms
        )
        try:
            self._ask(request, timeout)
        except blocking.RemoteError as error:
            if error.kind == "busy":
                return False, "The node to be idle terminated is no longer idle."
            if error.kind != "unknown_node":
                raise
        return True, ""

    def get_draining_nodes(self, timeout: float | None = None) -> dict[str, int]:
        """The deadlines of nodes that are being drained, in ms since 1970, by the node's id in hex."""
        infos = self.get_all_node_info(timeout).values()
        return {i.node_id.hex(): i.drain_deadline_ms for i in infos if i.state == "ALIVE" and i.draining}

    def publish_error(self, key_id: bytes, error_type: str, message: str, job_id: JobID | None = None) -> None:
        """Show a warning to the drivers of a job, or to all; it has arrived when this returns.

        Args:
            key_id: not looked at.
        """
        told = m.ErrorEvent(b"" if job_id is None else job_id.binary(), error_type, message, "driver")
        with self._lock:
            self._connected().send(told)
        self._ask(m.Ping(), None)

    def _ask(self, request: m.Request, timeout_s: float | None) -> Any:
        """Raises ConnectionError, RemoteError or TimeoutError; the next question connects anew."""
        with self._lock:
            client = self._connected()
            try:
                return client.request(request, 30.0 if timeout_s is None else timeout_s)
            except OSError:
                client.close()
                self._client = None
                raise

    def _connected(self) -> blocking.Client:
        if self._client is None:
            self._client = membership.open_client(self._address, "cli")
        return self._client

    def __reduce__(self) -> Any:
        return GcsClient, (self._address,)


def _bytes(value: Text) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _text(namespace: Text | None) -> str:
    return namespace.decode() if isinstance(namespace, bytes) else namespace or ""
