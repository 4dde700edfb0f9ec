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
