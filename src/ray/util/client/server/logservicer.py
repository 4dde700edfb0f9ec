"""The log stream: what this server's driver logs and prints, to its clients. Floor: client, shell."""

from __future__ import annotations

import contextlib
import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from ray.core.generated import ray_client_pb2 as pb
from ray.core.generated import ray_client_pb2_grpc as pb_grpc

STDOUT, STDERR = -1, -2
"""Levels of what was printed, not logged."""


class LogHub(logging.Handler):
    """Everything logged by "ray" loggers, and written to stdout and stderr, to whoever listens.

    `flush_workers`: has written what workers have printed so far.
    """

    def __init__(self, flush_workers: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.flush_workers = flush_workers
        self._listeners: set[_Listener] = set()
        self._guard = threading.Lock()

    def install(self) -> None:
        """Listen to this process from now on."""
        logging.getLogger("ray").addHandler(self)
        sys.stdout = _Tee(sys.stdout, self, STDOUT)
        sys.stderr = _Tee(sys.stderr, self, STDERR)

    def emit(self, record: logging.LogRecord) -> None:
        self.publish(pb.LogData(msg=record.getMessage(), level=record.levelno, name=record.name), record.levelno)

    def publish(self, data: pb.LogData, level: int) -> None:
        with self._guard:
            for listener in self._listeners:
                if listener.is_enabled and (level < 0 or level >= listener.level):
                    listener.outbox.put(data)

    @contextlib.contextmanager
    def listening(self) -> Iterator[_Listener]:
        listener = _Listener()
        with self._guard:
            self._listeners.add(listener)
        try:
            yield listener
        finally:
            with self._guard:
                self._listeners.discard(listener)


class _Listener:
    def __init__(self) -> None:
        self.outbox: queue.SimpleQueue[pb.LogData | None] = queue.SimpleQueue()
        self.is_enabled = False
        self.level = logging.INFO


class _Tee:
    """A text stream that also publishes what is written to it."""

    def __init__(self, stream: TextIO, hub: LogHub, level: int) -> None:
        self._stream, self._hub, self._level = stream, hub, level

    def write(self, text: str) -> int:
        if text:
            name = "stdout" if self._level == STDOUT else "stderr"
            self._hub.publish(pb.LogData(msg=text, level=self._level, name=name), self._level)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class LogstreamServicer(pb_grpc.RayletLogStreamerServicer):  # type: ignore[misc]
    def __init__(self, hub: LogHub) -> None:
        self._hub = hub

    def Logstream(self, requests: Iterator[pb.LogSettingsRequest], context: Any) -> Iterator[pb.LogData]:
        with self._hub.listening() as listener:
            thread = threading.Thread(target=self._read, args=(requests, listener), daemon=True)
            thread.start()
            context.add_callback(lambda: listener.outbox.put(None))
            yield from iter(listener.outbox.get, None)

    def _read(self, requests: Iterator[pb.LogSettingsRequest], listener: _Listener) -> None:
        try:
            for request in requests:
                listener.is_enabled, listener.level = request.enabled, request.loglevel
            if listener.is_enabled:  # the client has said goodbye, and waits for the last lines
                self._hub.flush_workers()
        except Exception:  # grpc raises a bare Exception when the peer is gone
            pass
        finally:
            listener.outbox.put(None)
