"""gRPC channels and servers of the Ray Client: sizes, TLS, and the cluster's token. Floor: client, shell.

gRPC is imported here first, so that a missing package is one clear error.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ray._core.wire import auth, tls
from ray.util.client.settings import CLIENT_SERVER_MAX_THREADS, GRPC_OPTIONS

try:
    import grpc
except ImportError as error:
    raise ValueError(
        "Ray Client needs the packages grpcio and protobuf. Install them: pip install 'ray[client]' "
        "(the distribution's name is pure-ray)."
    ) from error

CALL_THREADS = 20
FINAL_CODES = frozenset(
    {
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)
"""After these codes trying again would not help; after all others the call is tried again within the grace period."""


def open_channel(address: str, *, secure: bool = False, credentials: Any = None) -> Any:
    """A channel to `address`: by `credentials` if given, by the TLS variables if RAY_USE_TLS is set, else plain."""
    if credentials is None and tls.uses_tls():
        certificate, key, authority = tls.load_certs_from_env()
        credentials = grpc.ssl_channel_credentials(
            root_certificates=authority, private_key=key, certificate_chain=certificate
        )
    elif credentials is None and secure:
        credentials = grpc.ssl_channel_credentials()
    # Connections of its own: gRPC would else share them with a channel to the same address, dead ones too.
    options = [*GRPC_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
    if credentials is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, credentials, options=options)


def close_channel(channel: Any) -> threading.Thread:
    """Close a channel in a thread. gRPC waits for all calls of it to end, which those of a dead connection may not."""
    thread = threading.Thread(target=channel.close, name="ray-client-close", daemon=True)
    thread.start()
    return thread


def open_server(address: str, *, token: bytes, threads: int = CLIENT_SERVER_MAX_THREADS) -> tuple[Any, int]:
    """A server that listens on `address` and is not started yet, and its port (as chosen for port 0).

    Args:
        token: what callers must present; b"": nothing.
        threads: for streams.
    Raises:
        RuntimeError: the port is taken.
    """
    interceptors = [TokenCheck(token)] if token else []
    # Streams hold their threads; beside them there must be some for calls, or a full server would not even refuse.
    pool = ThreadPoolExecutor(threads + CALL_THREADS, thread_name_prefix="ray-client-server")
    options = [*GRPC_OPTIONS, ("grpc.so_reuseport", 0)]
    server = grpc.server(pool, interceptors=interceptors, options=options)
    if tls.uses_tls():
        certificate, key, authority = tls.load_certs_from_env()
        credentials = grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    if not port:
        raise RuntimeError(f"The Ray Client server could not bind {address}. Is another process listening there?")
    return server, port


class TokenCheck(grpc.ServerInterceptor):  # type: ignore[misc]
    """Refuses calls without the cluster's token, in constant time."""

    def __init__(self, token: bytes) -> None:
        self._expected = b"Bearer " + token
        self._refusals = {
            (False, False): grpc.unary_unary_rpc_method_handler(_refuse),
            (False, True): grpc.unary_stream_rpc_method_handler(_refuse),
            (True, True): grpc.stream_stream_rpc_method_handler(_refuse),
            (True, False): grpc.stream_unary_rpc_method_handler(_refuse),
        }

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        given = b"\0".join(_bytes(value) for key, value in details.invocation_metadata or () if key == "authorization")
        handler = continuation(details)
        if handler is None or hmac.compare_digest(given, self._expected):
            return handler
        return self._refusals[bool(handler.request_streaming), bool(handler.response_streaming)]


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _refuse(request: Any, context: Any) -> None:
    context.abort(
        grpc.StatusCode.UNAUTHENTICATED,
        "The call came without this cluster's token, or with a wrong one. Set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to "
        "what `ray get-auth-token` prints on the head.",
    )


def token_metadata(given: Iterable[tuple[str, str]] = ()) -> list[tuple[str, str]]:
    """The metadata that presents this process's token; nothing when it has none, or `given` presents one."""
    if any(key == "authorization" for key, _ in given):
        return []
    try:
        token = auth.load_token()
    except auth.AuthenticationFailed:
        return []  # the server says so if it wants one
    return [("authorization", f"Bearer {token.decode()}")] if token else []
