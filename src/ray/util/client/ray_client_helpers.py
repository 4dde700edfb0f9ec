"""A Ray Client server and its client in one process, for tests. Floor: client, over the public API.

The server runs in threads of this process, on this process's own session; the calling thread is its client.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import ray as real_ray
from ray._private.client_mode_hook import disable_client_hook
from ray.job_config import JobConfig
from ray.util.client import RayAPIStub, ray
from ray.util.client.server import server as ray_client_server
from ray.util.client.server.server import ClientServer


def ray_connect_handler(job_config: JobConfig | None = None, **ray_init_kwargs: Any) -> Any:
    """Makes the server's session: a new local one, unless there is one."""
    with disable_client_hook():
        if real_ray.is_initialized():
            return None
        return real_ray.init(job_config=job_config, **ray_init_kwargs)


@contextlib.contextmanager
def ray_start_client_server(
    metadata: list[tuple[str, str]] | None = None,
    ray_connect_handler: Callable[..., Any] | None = None,
    **kwargs: Any,
) -> Iterator[RayAPIStub]:
    """A server, and this thread connected to it; both end with the block. `kwargs`: of `ray.util.connect`."""
    with ray_start_client_server_pair(metadata=metadata, ray_connect_handler=ray_connect_handler, **kwargs) as pair:
        yield pair[0]


@contextlib.contextmanager
def ray_start_client_server_for_address(address: str | None) -> Iterator[RayAPIStub]:
    """As `ray_start_client_server`, on the cluster at `address`."""

    def connect(job_config: JobConfig | None = None, **ray_init_kwargs: Any) -> Any:
        with disable_client_hook():
            if not real_ray.is_initialized():
                return real_ray.init(address, job_config=job_config, **ray_init_kwargs)

    with ray_start_client_server(ray_connect_handler=connect) as client:
        yield client


@contextlib.contextmanager
def ray_start_client_server_pair(
    metadata: list[tuple[str, str]] | None = None,
    ray_connect_handler: Callable[..., Any] | None = None,
    **kwargs: Any,
) -> Iterator[tuple[RayAPIStub, ClientServer]]:
    """As `ray_start_client_server`, and the server too."""
    ray._inside_client_test = True
    server = ray_client_server.serve("127.0.0.1", 0, ray_connect_handler or _default_handler())
    try:
        ray.connect(f"127.0.0.1:{server.port}", metadata=metadata, **kwargs)
        yield ray, server
    finally:
        ray._inside_client_test = False
        ray.disconnect()
        server.stop(0)
        with disable_client_hook():
            real_ray.shutdown()


@contextlib.contextmanager
def ray_start_cluster_client_server_pair(address: str | None) -> Iterator[tuple[RayAPIStub, ClientServer]]:
    """As `ray_start_client_server_pair`, on the cluster at `address`."""

    def connect(job_config: JobConfig | None = None, **ray_init_kwargs: Any) -> Any:
        with disable_client_hook():
            return real_ray.init(address=address, job_config=job_config, **ray_init_kwargs)

    with ray_start_client_server_pair(ray_connect_handler=connect) as pair:
        yield pair


@contextlib.contextmanager
def connect_to_client_or_not(connect_to_client: bool) -> Iterator[None]:
    """The same test with a client and without."""
    if not connect_to_client:
        yield
        return
    with ray_start_client_server(namespace="default_test_namespace", ray_init_kwargs={}):
        yield


def _default_handler() -> Callable[..., Any]:
    return ray_connect_handler
