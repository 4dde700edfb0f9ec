"""The key-value table for jobs, through this process's connection to the cluster."""

from __future__ import annotations

from ray.experimental import internal_kv


class WorkerKeyValues:
    """Implements `common.KeyValues` in one namespace of the table."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def get(self, key: str) -> bytes | None:
        return internal_kv._internal_kv_get(key, namespace=self._namespace)

    def put(self, key: str, value: bytes, overwrite: bool) -> bool:
        return not internal_kv._internal_kv_put(key, value, overwrite, namespace=self._namespace)

    def delete(self, key: str) -> bool:
        return internal_kv._internal_kv_del(key, namespace=self._namespace) > 0

    def keys(self, prefix: str) -> list[str]:
        return [key.decode() for key in internal_kv._internal_kv_list(prefix, namespace=self._namespace)]
