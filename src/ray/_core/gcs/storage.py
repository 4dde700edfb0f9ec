"""Where the GCS keeps its tables so that they survive it: nowhere, a SQLite file, or a Redis server.

Floor: gcs, shell. All calls block; the journal makes them on a thread of its own. A commit is all or nothing, and
durable when it returns.
"""

from __future__ import annotations

import dataclasses
import os
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlsplit


@dataclasses.dataclass(frozen=True, slots=True)
class Write:
    """`value` None deletes the row."""

    table: str
    key: bytes
    value: bytes | None


class Storage(Protocol):
    def load(self, table: str) -> dict[bytes, bytes]:
        """All rows of a table; none for one that was never written."""

    def commit(self, writes: Iterable[Write]) -> None:
        """Apply all writes in order. Raises OSError (or a subclass) when nothing was applied."""

    def close(self) -> None: ...


class StorageError(OSError):
    """The storage did not take a commit or could not be read; nothing of the commit is in it."""


class SqliteStorage:
    """One file in the session directory, in WAL mode and synced at each commit.

    Source: https://www.sqlite.org/pragma.html#pragma_synchronous: with FULL a commit survives a loss of power.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # before SQLite makes it for everybody to read
        os.close(descriptor)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS rows (tab TEXT, key BLOB, value BLOB, PRIMARY KEY (tab, key)) WITHOUT ROWID"
        )

    def load(self, table: str) -> dict[bytes, bytes]:
        return dict(self._db.execute("SELECT key, value FROM rows WHERE tab = ?", (table,)))

    def commit(self, writes: Iterable[Write]) -> None:
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            for write in writes:
                if write.value is None:
                    db.execute("DELETE FROM rows WHERE tab = ? AND key = ?", (write.table, write.key))
                else:
                    db.execute("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", (write.table, write.key, write.value))
            db.execute("COMMIT")
        except sqlite3.Error as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            is_full = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
            why = "No space left on device" if is_full else str(error)
            raise StorageError(f"The GCS could not write to {self._path}: {why}") from error

    def close(self) -> None:
        self._db.close()


class RedisStorage:
    """Hashes on a Redis server, one per table, named `pure-ray:<namespace>:<table>`; a commit is one transaction.

    How durable it is when `commit` returns is the server's configuration (appendfsync). A replica hears of it later: a
    failover by Sentinel can take back the last moments.

    Args:
        url: redis://[user:password@]host:port or rediss://…; a Sentinel is asked for its first master.
        namespace: keeps clusters on one server apart (RAY_external_storage_namespace).
    Raises:
        StorageError: nobody answers there, or the password is wrong.
    """

    def __init__(self, url: str, namespace: str) -> None:
        self._url = url
        self._prefix = f"pure-ray:{namespace}:"
        parts = urlsplit(url)
        self._where = f"{parts.hostname}:{parts.port or 6379}"
        self._client: Any = None
        self._connected()

    def _connected(self) -> Any:
        """The client of the server that is master now."""
        if self._client is None:
            import redis

            try:
                client = redis.Redis.from_url(self._url, socket_timeout=10, **_tls_arguments(self._url))
                if client.info("server").get("redis_mode") == "sentinel":
                    client = _master_of(client, self._url)
                client.ping()
            except redis.RedisError as error:
                raise StorageError(f"The Redis at {self._where} cannot be used: {error}") from error
            self._client = client
        return self._client

    def load(self, table: str) -> dict[bytes, bytes]:
        import redis

        try:
            rows: dict[bytes, bytes] = self._connected().hgetall(self._prefix + table)
        except redis.RedisError as error:
            self._client = None
            raise StorageError(f"The Redis at {self._where} could not be read: {error}") from error
        return rows

    def commit(self, writes: Iterable[Write]) -> None:
        import redis

        pipeline = self._connected().pipeline(transaction=True)
        for write in writes:
            if write.value is None:
                pipeline.hdel(self._prefix + write.table, write.key)
            else:
                pipeline.hset(self._prefix + write.table, write.key, write.value)
        try:
            pipeline.execute()
        except redis.RedisError as error:
            self._client = None  # the master may have moved: look again
            raise StorageError(f"The Redis at {self._where} did not take a write: {error}") from error

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


def _tls_arguments(url: str) -> dict[str, Any]:
    """Certificates for rediss://, by Ray's variables."""
    if not url.startswith("rediss://"):
        return {}
    names = {
        "ssl_ca_certs": "RAY_REDIS_CA_CERT",
        "ssl_ca_path": "RAY_REDIS_CA_PATH",
        "ssl_certfile": "RAY_REDIS_CLIENT_CERT",
        "ssl_keyfile": "RAY_REDIS_CLIENT_KEY",
    }
    return {argument: os.environ[name] for argument, name in names.items() if os.environ.get(name)}


def _master_of(sentinel: Any, url: str) -> Any:
    """The client of the first master that this Sentinel watches."""
    import redis
    import redis.sentinel

    masters = sorted(sentinel.sentinel_masters())
    if not masters:
        raise redis.ConnectionError("this Sentinel watches no master")
    parts = urlsplit(url)
    sentinel_class: Any = redis.sentinel.Sentinel
    watcher = sentinel_class([(parts.hostname, parts.port or 26379)], socket_timeout=10)
    return watcher.master_for(masters[0], username=parts.username or None, password=parts.password or None)


def redis_url(environ: Mapping[str, str]) -> str:
    """Of the Redis that RAY_REDIS_ADDRESS, RAY_REDIS_USERNAME and RAY_REDIS_PASSWORD name.

    Raises:
        ValueError: there is no address.
    """
    address = environ.get("RAY_REDIS_ADDRESS", "")
    if not address:
        raise ValueError("The GCS shall keep its tables in Redis, but RAY_REDIS_ADDRESS is not set.")
    scheme, _, place = address.rpartition("://")
    user, password = (quote(environ.get(f"RAY_REDIS_{name}", ""), safe="") for name in ("USERNAME", "PASSWORD"))
    return f"{scheme or 'redis'}://{f'{user}:{password}@' if password else ''}{place}"


def open_storage(kind: str, namespace: str = "default", environ: Mapping[str, str] = os.environ) -> Storage | None:
    """`memory` (None: nothing is kept), `sqlite:PATH`, or `redis` (see `redis_url`).

    Raises:
        ValueError: another kind, or a Redis without an address.
        StorageError: it cannot be opened.
    """
    if kind == "memory":
        return None
    if kind == "redis":
        return RedisStorage(redis_url(environ), namespace)
    if kind.startswith("sqlite:"):
        try:
            return SqliteStorage(kind.removeprefix("sqlite:"))
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"The GCS's storage {kind} cannot be opened: {error}") from error
    raise ValueError(f"gcs_storage {kind!r} is none of memory, sqlite, redis.")
