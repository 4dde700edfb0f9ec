"""The cluster's key-value table (`ray.experimental.internal_kv`): small values that all processes see."""

from __future__ import annotations

from typing import Any

from ray._core.common import messages as m
from ray._core.worker import object_ref as _process
from ray._private.auto_init_hook import connected_core
from ray._private.client_mode_hook import client_mode_hook


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _namespace(namespace: str | bytes | None) -> str:
    return namespace.decode() if isinstance(namespace, bytes) else namespace or ""


@client_mode_hook
def _internal_kv_initialized() -> bool:
    return _process._core is not None


@client_mode_hook
def _internal_kv_get(key: str | bytes, *, namespace: str | bytes | None = None) -> bytes | None:
    """The value, None when there is no such key."""
    value: bytes | None = _ask(m.KvGet(namespace=_namespace(namespace), key=_bytes(key))).value
    return value


@client_mode_hook
def _internal_kv_exists(key: str | bytes, *, namespace: str | bytes | None = None) -> bool:
    return bool(_ask(m.KvExists(namespace=_namespace(namespace), key=_bytes(key))).count)


@client_mode_hook
def _internal_kv_put(
    key: str | bytes, value: str | bytes, overwrite: bool = True, *, namespace: str | bytes | None = None
) -> bool:
    """Whether the key was there before; its value changes only with `overwrite`."""
    request = m.KvPut(namespace=_namespace(namespace), key=_bytes(key), value=_bytes(value), overwrite=overwrite)
    return not _ask(request).count


@client_mode_hook
def _internal_kv_del(key: str | bytes, *, del_by_prefix: bool = False, namespace: str | bytes | None = None) -> int:
    """How many keys went."""
    count: int = _ask(m.KvDel(namespace=_namespace(namespace), key=_bytes(key), by_prefix=del_by_prefix)).count
    return count


@client_mode_hook
def _internal_kv_list(prefix: str | bytes, *, namespace: str | bytes | None = None) -> list[bytes]:
    """The keys that begin with `prefix`."""
    keys: list[bytes] = _ask(m.KvKeys(namespace=_namespace(namespace), prefix=_bytes(prefix))).keys
    return keys


def _internal_kv_reset() -> None:
    """There is nothing to reset: the table is the session's, and each call looks for that."""


def internal_kv_get_gcs_client() -> Any:
    """A `GcsClient` of the session's cluster. Raises RaySystemError before `ray.init`."""
    from ray._private.gcs_client import GcsClient

    return GcsClient(connected_core().gcs_address)


def _ask(request: m.Request) -> Any:
    return connected_core().ask_gcs(request)
