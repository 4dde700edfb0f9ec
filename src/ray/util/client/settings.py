"""Sizes and times of the Ray Client; the sole reader of its environment variables. Floor: client."""

from __future__ import annotations

import os

DEFAULT_PORT = 10001
INITIAL_TIMEOUT_SEC = float(os.environ.get("RAY_CLIENT_INITIAL_CONNECTION_TIMEOUT_S", "5"))
"""How long the first try to connect waits; each further one waits longer."""
MAX_TIMEOUT_SEC = float(os.environ.get("RAY_CLIENT_MAX_CONNECTION_TIMEOUT_S", "30"))
MAX_BLOCKING_OPERATION_TIME_S = float(os.environ.get("RAY_CLIENT_MAX_BLOCKING_OPERATION_TIME_S", "2"))
"""`get` asks in slices of this length, so that Ctrl-C works and no call blocks a server's thread for long."""
RECONNECT_GRACE_PERIOD = int(os.environ.get("RAY_CLIENT_RECONNECT_GRACE_PERIOD", "30"))
"""Seconds for which a cut connection may be made again; 0: never."""
CLIENT_SERVER_MAX_THREADS = int(os.environ.get("RAY_CLIENT_SERVER_MAX_THREADS", "100"))
"""Each client holds two threads of a server (data and logs), so half as many clients are served."""
CHECK_CHANNEL_TIMEOUT_S = float(os.environ.get("RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S", "30"))
"""How long the proxy waits for a client's new server to serve."""
TIMEOUT_FOR_SPECIFIC_SERVER_S = 30.0
"""A specific server without clients ends after this long."""

OBJECT_TRANSFER_CHUNK_SIZE = 5 * 2**20
"""Bytes of a value in one message: small enough that other calls come between, large enough to be quick."""
OBJECT_TRANSFER_WARNING_SIZE = 2 * 2**30
"""A larger put is warned about: it is slow through any network."""
ACKNOWLEDGE_BATCH_SIZE = 32
"""Responses after which the client says that the server may forget them."""

GRPC_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_send_message_length", 2**31 - 1),
    ("grpc.max_receive_message_length", 2**31 - 1),
    ("grpc.initial_reconnect_backoff_ms", 100),  # gRPC's own second would pass whenever a server is just starting
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 600_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 25_000),
]
