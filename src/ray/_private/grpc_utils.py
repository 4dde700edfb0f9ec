"""gRPC channels with this cluster's TLS settings, for programs that speak gRPC to servers of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from ray._core.wire import tls


def init_grpc_channel(
    address: str, options: Sequence[tuple[str, Any]] | None = None, asynchronous: bool = False
) -> Any:
    """A channel to "host:port": by the TLS variables when RAY_USE_TLS is set, else plain."""
    kind = grpc.aio if asynchronous else grpc
    if not tls.uses_tls():
        return kind.insecure_channel(address, options=options)
    certificate, key, authority = tls.load_certs_from_env()
    credentials = grpc.ssl_channel_credentials(
        root_certificates=authority, private_key=key, certificate_chain=certificate
    )
    return kind.secure_channel(address, credentials, options=options)
