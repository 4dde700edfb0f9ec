"""`ray.util.connect` and `ray.util.disconnect`: the low way into Ray Client."""

from __future__ import annotations

from typing import Any


def connect(
    conn_str: str,
    secure: bool = False,
    metadata: list[tuple[str, str]] | None = None,
    connection_retries: int = 3,
    job_config: Any = None,
    namespace: str | None = None,
    *,
    ignore_version: bool = False,
    _credentials: Any = None,
    ray_init_kwargs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Connect this thread's client context to the server at `conn_str`, "host:port".

    Returns:
        num_clients, python_version, ray_version and ray_commit of the server.
    Raises:
        RuntimeError: connected already, or the versions do not match.
        ConnectionError: no server there.
    """
    from ray.util.client import ray as client

    return client.connect(
        conn_str,
        job_config=job_config,
        secure=secure,
        metadata=metadata,
        connection_retries=connection_retries,
        namespace=namespace,
        ignore_version=ignore_version,
        _credentials=_credentials,
        ray_init_kwargs=ray_init_kwargs,
    )


def disconnect() -> None:
    """End this thread's client connection. Again: nothing."""
    from ray.util.client import ray as client

    client.disconnect()
