"""The cluster's key-value table, for the proxy, which is no driver. Floor: client, shell."""

from __future__ import annotations

import threading
from typing import Any

from ray._core.common import messages as m
from ray._core.node import membership
from ray._core.wire import blocking


class GcsAccess:
    """A connection to the GCS, made again when it breaks; used by several threads, one after another."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._client: blocking.Client | None = None

    def ask(self, request: m.Request) -> Any:
        """Raises OSError when the GCS cannot be reached."""
        with self._lock:
            for is_last in (False, True):
                try:
                    if self._client is None:
                        self._client = membership.open_client(self.address, "cli")
                    return self._client.request(request)
                except OSError:
                    self._drop()
                    if is_last:
                        raise
        raise AssertionError("not reached")

    def facts(self) -> membership.ClusterFacts:
        """What the cluster says of itself."""
        with self._lock, membership.open_client(self.address, "cli") as client:
            return membership.ask_cluster(client)

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def close(self) -> None:
        with self._lock:
            self._drop()
