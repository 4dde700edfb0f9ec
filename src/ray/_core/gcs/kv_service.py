"""Requests about the key-value table. Floor: gcs, shell around `kv.KvTable`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray._core.common import messages as m
from ray._core.gcs.journal import Journal
from ray._core.gcs.kv import KvTable
from ray._core.gcs.waiters import Waiters
from ray._core.wire import aio

TABLE = "kv"


class KvService:
    """`KvGet.wait` and all writes are answered once they are durable, as everything that the GCS sends."""

    def __init__(self, journal: Journal) -> None:
        self.table = KvTable()
        self._journal = journal
        self.on_put: Callable[[str, bytes], None] = lambda namespace, key: None
        """Hears of each key that has got a value."""
        self.waiting: Waiters[tuple[str, bytes], m.KvGet] = Waiters()

    def handlers(self) -> dict[type, Callable[[aio.Connection, Any], None]]:
        return {
            m.KvPut: self._put,
            m.KvGet: self._get,
            m.KvDel: self._delete,
            m.KvExists: self._exists,
            m.KvKeys: lambda c, r: c.reply(r, m.KvKeyList(keys=self.table.keys(r.namespace, r.prefix))),
        }

    def restore(self) -> None:
        for row, value in self._journal.load(TABLE).items():
            namespace, _, key = row.partition(b"\0")
            self.table.put(namespace.decode(), key, value, True)

    def _put(self, connection: aio.Connection, request: m.KvPut) -> None:
        is_new = self.table.put(request.namespace, request.key, request.value, request.overwrite)
        if is_new or request.overwrite:
            self._journal.put(TABLE, _row(request.namespace, request.key), request.value)
        connection.reply(request, m.KvCount(count=int(is_new)))
        self.on_put(request.namespace, request.key)
        for waiter, wanted in self.waiting.take((request.namespace, request.key)):
            self._get(waiter, wanted)

    def _get(self, connection: aio.Connection, request: m.KvGet) -> None:
        value = self.table.get(request.namespace, request.key)
        if value is None and request.wait:
            self.waiting.add((request.namespace, request.key), connection, request)
            return
        connection.reply(request, m.KvValue(value=value))

    def _delete(self, connection: aio.Connection, request: m.KvDel) -> None:
        gone = self.delete(request.namespace, request.key, request.by_prefix)
        connection.reply(request, m.KvCount(count=len(gone)))

    def delete(self, namespace: str, key: bytes, by_prefix: bool = False) -> list[bytes]:
        """The keys that went."""
        gone = self.table.delete(namespace, key, by_prefix)
        for each in gone:
            self._journal.put(TABLE, _row(namespace, each), None)
        return gone

    def _exists(self, connection: aio.Connection, request: m.KvExists) -> None:
        found = self.table.get(request.namespace, request.key) is not None
        connection.reply(request, m.KvCount(count=int(found)))


def _row(namespace: str, key: bytes) -> bytes:
    """A namespace has no NUL: it is text that users and modules choose."""
    return namespace.encode() + b"\0" + key
