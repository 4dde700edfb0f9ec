"""The client's end of the log stream: the server's logs and its workers' output, shown here. Floor: client, shell."""

from __future__ import annotations

import logging
import queue
import sys
import threading
from typing import TYPE_CHECKING, Any

import grpc

from ray.core.generated import ray_client_pb2 as pb
from ray.core.generated import ray_client_pb2_grpc as pb_grpc
from ray.util.client.transport import FINAL_CODES

if TYPE_CHECKING:
    from ray.util.client.connection import Connection

log = logging.getLogger(__name__)
_LAST_LINES_S = 5.0
_WORKER_LOGGER = logging.getLogger("ray.util.client.remote")


class LogstreamClient:
    """Prints in a thread of its own, from its constructor until `close`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queue: queue.SimpleQueue[pb.LogSettingsRequest | None] = queue.SimpleQueue()
        self._settings = pb.LogSettingsRequest(enabled=False, loglevel=logging.INFO)
        self._is_closed = threading.Event()
        self._call: Any = None
        """The stream that is open, or waits for a channel to a server."""
        self._thread = threading.Thread(target=self._run, name="ray-client-logs", daemon=True)
        self._thread.start()

    def set_logstream_level(self, level: int) -> None:
        """Ask for records of this level and above, and for what is printed."""
        self._settings = pb.LogSettingsRequest(enabled=True, loglevel=level)
        self._queue.put(self._settings)

    def disable_logs(self) -> None:
        self._settings = pb.LogSettingsRequest(enabled=False)
        self._queue.put(self._settings)

    def close(self) -> None:
        """Let the last lines come, if there is still a server to send them."""
        self._is_closed.set()
        self._queue.put(None)
        if threading.current_thread() is self._thread:
            return
        if not self._connection.is_lost:
            self._thread.join(_LAST_LINES_S)
        if self._thread.is_alive():
            if self._call is not None:
                self._call.cancel()
            self._thread.join(_LAST_LINES_S)

    def _run(self) -> None:
        while not self._is_closed.is_set():
            generation, outgoing = self._connection.generation, self._queue
            stub = pb_grpc.RayletLogStreamerStub(self._connection.channel)
            try:
                self._call = stub.Logstream(
                    iter(outgoing.get, None), metadata=self._connection.metadata, wait_for_ready=True
                )
                for record in self._call:
                    self._show(record)
            except grpc.RpcError as error:
                if error.code() in FINAL_CODES:
                    return
            finally:
                outgoing.put(None)  # ends gRPC's thread that reads it
            if self._is_closed.is_set() or not self._connection.wait_reconnected(generation):
                return
            self._queue = queue.SimpleQueue()
            self._queue.put(self._settings)

    def _show(self, record: pb.LogData) -> None:
        if record.level >= 0:
            self.log(level=record.level, msg=record.msg)
        else:
            self.stdstream(level=record.level, msg=record.msg)

    def log(self, level: int, msg: str) -> None:
        """Show what the server logged."""
        _WORKER_LOGGER.log(level, msg)

    def stdstream(self, level: int, msg: str) -> None:
        """Show what was printed there. `level`: -1: to stdout, -2: to stderr."""
        stream = sys.stdout if level == -1 else sys.stderr
        stream.write(msg)
        stream.flush()
