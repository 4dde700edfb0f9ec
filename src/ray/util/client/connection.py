"""The channel to a Ray Client server, made anew when it broke, and the unary calls through it.

Floor: client, shell. The data stream notices that the channel broke and asks for a new one; all other calls wait for
that one and are made again.
"""

from __future__ import annotations

import base64
import logging
import threading
import time
import warnings
from typing import Any

import grpc

from ray import cloudpickle
from ray.core.generated import ray_client_pb2 as pb
from ray.core.generated import ray_client_pb2_grpc as pb_grpc
from ray.util.client import settings
from ray.util.client.transport import FINAL_CODES, close_channel, open_channel, token_metadata

log = logging.getLogger(__name__)
_RETRY_PAUSE_S = 0.2
_CLOSE_S = 2.0


def backoff(timeout_s: float) -> float:
    """How long the next try to connect waits."""
    return min(timeout_s + 5, settings.MAX_TIMEOUT_SEC)


class Connection:
    """There is a server once the constructor returns.

    Args:
        conn_str: "host:port".
        client_id: names this client to the server.
        secure, credentials: see `open_channel`.
        metadata: pairs for each call.
        retries: tries beside the first, each waiting longer.
    Raises:
        ConnectionError: no server there; or it refused this process's token.
    """

    def __init__(
        self,
        conn_str: str,
        client_id: str,
        *,
        secure: bool,
        metadata: list[tuple[str, str]],
        retries: int,
        credentials: Any,
    ) -> None:
        self.conn_str = conn_str
        self._secure, self._credentials = secure, credentials
        self.metadata = [*metadata, ("client_id", client_id), *token_metadata(metadata)]
        self._call_ids = threading.local()
        self._state = threading.Condition()
        self.generation = 0
        """Counts the channels; guarded by `_state`."""
        self._end_reason: BaseException | None = None
        self._is_closing = False
        self.channel: Any = None
        self._open()
        self._wait_for_server(retries)

    @property
    def is_plain(self) -> bool:
        """Whether nothing but gRPC itself lies between: no TLS that the caller chose."""
        return self._credentials is None and not self._secure

    @property
    def is_closing(self) -> bool:
        return self._is_closing

    def _open(self) -> None:
        if self.channel is not None:
            close_channel(self.channel)
        self.channel = open_channel(self.conn_str, secure=self._secure, credentials=self._credentials)
        self.server = pb_grpc.RayletDriverStub(self.channel)

    def _wait_for_server(self, retries: int) -> None:
        timeout_s = settings.INITIAL_TIMEOUT_SEC
        problem: Any = None
        for _ in range(max(retries, 0) + 1):
            deadline_at_s = time.monotonic() + timeout_s
            while (left_s := deadline_at_s - time.monotonic()) > 0:
                try:
                    if self.ping_server(timeout=left_s):
                        return
                except grpc.RpcError as error:
                    problem = error
                    if error.code() in FINAL_CODES:
                        raise self.connection_error(error) from error
                with self._state:  # a server that is about to start refuses at once
                    self._state.wait(min(_RETRY_PAUSE_S, max(deadline_at_s - time.monotonic(), 0)))
            log.debug("Ray Client: no answer from %s within %s s.", self.conn_str, timeout_s)
            timeout_s = backoff(timeout_s)
        warnings.warn(
            "Ray Client connection timed out. Is the Ray Client port of the head reachable from here? "
            f"It was looked for at {self.conn_str}.",
            stacklevel=2,
        )
        raise ConnectionError("ray client connection timeout") from problem

    def ping_server(self, timeout: float | None = None) -> bool:
        """Whether a server answers. Raises grpc.RpcError when none does within `timeout` seconds."""
        request = pb.ClusterInfoRequest(type=pb.ClusterInfoType.PING)
        self.server.ClusterInfo(request, timeout=timeout, metadata=self.metadata, wait_for_ready=True)
        return True

    def reconnect(self, reason: Any) -> None:
        """Make the channel anew, within the grace period; called by the data stream's thread.

        Raises:
            ConnectionError: the time is over, or the client is being closed.
        """
        deadline_at_s = time.monotonic() + settings.RECONNECT_GRACE_PERIOD
        while not self._is_closing and (left_s := deadline_at_s - time.monotonic()) > 0:
            with self._state:
                self._open()
                self.generation += 1
            try:
                self.ping_server(timeout=min(left_s, settings.INITIAL_TIMEOUT_SEC))
            except grpc.RpcError as error:
                if error.code() in FINAL_CODES:
                    raise
                with self._state:
                    self._state.wait_for(lambda: self._is_closing, timeout=min(0.5, max(left_s, 0)))
                continue
            with self._state:
                self._state.notify_all()
            return
        raise ConnectionError(
            f"The connection to the Ray Client server at {self.conn_str} was lost ({reason}) and could not be made "
            f"again within the grace period of {settings.RECONNECT_GRACE_PERIOD} s."
        )

    def wait_reconnected(self, generation: int) -> bool:
        """Wait for a channel newer than `generation`. False: there will be none."""
        with self._state:
            self._state.wait_for(
                lambda: self.generation > generation or self._is_over(),
                timeout=settings.RECONNECT_GRACE_PERIOD,
            )
            return self.generation > generation and not self._is_over()

    def wait_for_channel(self, generation: int, timeout_s: float) -> int:
        """Wait a moment for a channel newer than `generation`; the number of the present one."""
        with self._state:
            self._state.wait_for(lambda: self.generation > generation or self._is_over(), timeout=timeout_s)
            return self.generation

    def _is_over(self) -> bool:
        return self._is_closing or self._end_reason is not None

    @property
    def is_lost(self) -> bool:
        """Whether the server could not be reached any more; not, when it was closed here."""
        return self._end_reason is not None

    def check_alive(self) -> None:
        """Raises ConnectionError when the connection has ended for good."""
        if self._is_over():
            raise ConnectionError(f"The Ray Client connection has ended: {self._end_reason or 'it was closed.'}")

    def ended(self, reason: BaseException) -> None:
        with self._state:
            self._end_reason = reason
            self._state.notify_all()

    def connection_error(self, error: BaseException) -> BaseException:
        """What the program sees of an error of gRPC."""
        if not isinstance(error, grpc.RpcError):
            return error
        code, details = error.code(), error.details()
        if code == grpc.StatusCode.ABORTED and (raised := _exception_in(details)) is not None:
            return raised
        if code == grpc.StatusCode.UNAUTHENTICATED:
            from ray.exceptions import AuthenticationError

            return AuthenticationError(f"The Ray Client server at {self.conn_str} refused this client: {details}")
        return ConnectionError(f"The Ray Client server at {self.conn_str} failed ({code.name}): {details}")

    def begin_close(self) -> bool:
        """From here on nothing is tried again. Whether this is the first time."""
        with self._state:
            if self._is_closing:
                return False
            self._is_closing = True
            self._state.notify_all()
            return True

    def close_channel(self) -> None:
        """Close the channel, and wait a moment for it."""
        close_channel(self.channel).join(_CLOSE_S)

    def call(self, name: str, request: Any, *, changes_state: bool = False, timeout_s: float | None = None) -> Any:
        """A unary call, tried again while the connection comes back; one that changes state is executed once.

        Raises:
            ConnectionError: the connection has ended.
            Exception: what the server raised.
        """
        metadata = self.metadata
        if changes_state:
            metadata = [*metadata, ("thread_id", str(threading.get_ident())), ("req_id", str(self._next_call_id()))]
        retry = Retry(self)
        while True:
            try:
                return getattr(self.server, name)(request, timeout=timeout_s, metadata=metadata)
            except (grpc.RpcError, ValueError) as error:
                retry.after(error)

    def _next_call_id(self) -> int:
        number: int = getattr(self._call_ids, "last", 0) + 1
        self._call_ids.last = number
        return number


class Retry:
    """Decides whether a unary call that failed is made again: within the grace period, while the channel may come."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._generation = connection.generation
        self._deadline_at_s: float | None = None
        connection.check_alive()

    def after(self, error: Exception) -> None:
        """Return when the call is to be made again.

        Args:
            error: of gRPC; or a ValueError, which gRPC raises for a channel that was closed meanwhile.
        Raises:
            ConnectionError: the connection has ended, or does not come back.
            Exception: what the server raised.
        """
        connection = self._connection
        connection.check_alive()
        if not isinstance(error, grpc.RpcError) and "closed" not in str(error):
            raise error
        code = error.code() if isinstance(error, grpc.RpcError) else None
        if code in FINAL_CODES:
            raise connection.connection_error(error) from None
        now_s = time.monotonic()
        if self._deadline_at_s is None:
            self._deadline_at_s = now_s + settings.RECONNECT_GRACE_PERIOD
        if now_s >= self._deadline_at_s:
            raise connection.connection_error(error) from None
        self._generation = connection.wait_for_channel(self._generation, timeout_s=_RETRY_PAUSE_S)


def _exception_in(details: str) -> Exception | None:
    """The exception that the server put in the details of an ABORTED call; None when there is none."""
    try:
        raised = cloudpickle.loads(base64.b64decode(details))
    except Exception:  # details of gRPC itself are text, and what is no pickle may raise anything
        return None
    return raised if isinstance(raised, Exception) else None
