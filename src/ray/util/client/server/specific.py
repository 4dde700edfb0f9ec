"""The servers behind the proxy: one process per client, in the client's runtime environment. Floor: client, shell.

A server is started when its client connects, and ends when that client has gone for good: by itself after its grace
period, or at once when the client says goodbye. It also ends with the proxy, whose end of a pipe it watches.
"""

from __future__ import annotations

import dataclasses
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from ray.core.generated import ray_client_pb2 as pb
from ray.core.generated import ray_client_pb2_grpc as pb_grpc
from ray.util.client import settings
from ray.util.client.transport import open_channel, token_metadata
from ray.workers import setup_worker

log = logging.getLogger(__name__)
PORTS = range(23000, 24000)
HOST = "127.0.0.1"
_PING_S = 0.5


class ServerStartError(RuntimeError):
    """A client's server did not start; the text has the last lines of its log."""


class PortPool:
    """Ports of servers. Those that were free longest come first, since a closed one may linger. Pure.

    Args:
        is_free: whether no other program has the port, such as the proxy of another cluster on this machine.
    """

    def __init__(self, ports: range = PORTS, is_free: Callable[[int], bool] = lambda port: True) -> None:
        self._free = list(ports)
        self._is_free = is_free

    def take(self) -> int:
        """Raises ServerStartError when all are taken."""
        for index, port in enumerate(self._free):
            if self._is_free(port):
                return self._free.pop(index)
        raise ServerStartError(f"No port of {PORTS.start} to {PORTS.stop} is free: too many clients are connected.")

    def give_back(self, port: int) -> None:
        self._free.append(port)


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


@dataclasses.dataclass
class SpecificServer:
    """One client's server, on its way up (`ready` not set) or serving."""

    client_id: str
    port: int
    ready: threading.Event = dataclasses.field(default_factory=threading.Event)
    problem: Exception | None = None
    process: subprocess.Popen[bytes] | None = None
    channel: Any = None

    def is_serving(self) -> bool:
        return self.ready.is_set() and self.problem is None and self.process is not None and self.process.poll() is None


class ServerPool:
    """All specific servers of a proxy.

    Args:
        address: of the cluster's GCS.
        log_dir: where their output goes.
        bulk_host: the proxy's; their bulk connections are made there, past the proxy.
    """

    def __init__(self, address: str, log_dir: Path, bulk_host: str, ports: PortPool | None = None) -> None:
        self._address = address
        self._log_dir = log_dir
        self._bulk_host = bulk_host
        self._ports = ports or PortPool(PORTS, _is_free)
        self._lock = threading.Condition()
        self._servers: dict[str, SpecificServer] = {}

    def __len__(self) -> int:
        with self._lock:
            return len(self._servers)

    def find(self, client_id: str) -> SpecificServer | None:
        with self._lock:
            return self._servers.get(client_id)

    def wait(self, client_id: str, timeout_s: float, *, comes: bool = False) -> SpecificServer | None:
        """The client's server once it serves; None when it has none, or not in time.

        Args:
            comes: it may not have been asked for yet.
        """
        with self._lock:
            if comes:
                self._lock.wait_for(lambda: client_id in self._servers, timeout_s)
            server = self._servers.get(client_id)
        if server is None or not server.ready.wait(timeout_s) or not server.is_serving():
            return None
        return server

    def start(self, client_id: str, context_of: Callable[[int], str]) -> SpecificServer:
        """Start the client's server and wait until it serves.

        Args:
            context_of: builds the runtime environment of the server on a port; JSON of a RuntimeEnvContext.
        Raises:
            ServerStartError: the process ended, or does not serve in time.
            Exception: the environment could not be built.
        """
        with self._lock:
            server = self._servers[client_id] = SpecificServer(client_id, self._ports.take())
            self._lock.notify_all()
        try:
            context = context_of(server.port)
            server.process = self._start_process(server.port, context)
            threading.Thread(target=self._reap, args=(server, server.process), daemon=True).start()
            server.channel = open_channel(f"{HOST}:{server.port}")
            self._wait_serving(server)
        except Exception as error:
            server.problem = error
            server.ready.set()
            self.end(server)
            raise
        server.ready.set()
        return server

    def _start_process(self, port: int, context: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, setup_worker.__file__, "-m", "ray.util.client.server"]
        command += [f"--address={self._address}", f"--host={HOST}", f"--port={port}", "--mode=specific-server"]
        command += [
            f"--bulk-host={self._bulk_host}",
            "--lifeline",
            "--language=PYTHON",
            f"--serialized-runtime-env-context={context}",
        ]
        out, err = (self._log_dir / f"ray_client_server_{port}.{kind}" for kind in ("out", "err"))
        with open(out, "ab") as out_file, open(err, "ab") as err_file:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out_file, stderr=err_file)

    def _wait_serving(self, server: SpecificServer) -> None:
        """Ask until it answers. Raises ServerStartError."""
        stub = pb_grpc.RayletDriverStub(server.channel)
        ping = pb.ClusterInfoRequest(type=pb.ClusterInfoType.PING)
        metadata = [("client_id", server.client_id), *token_metadata()]
        deadline_at_s = time.monotonic() + settings.CHECK_CHANNEL_TIMEOUT_S
        while True:
            assert server.process is not None
            if server.process.poll() is not None:
                raise ServerStartError(f"The client's server ended at its start.\n{self._last_lines(server.port)}")
            try:
                stub.ClusterInfo(ping, metadata=metadata, wait_for_ready=True, timeout=_PING_S)
                return
            except grpc.RpcError as error:
                if time.monotonic() >= deadline_at_s:
                    raise ServerStartError(
                        f"The client's server on port {server.port} did not serve within "
                        f"{settings.CHECK_CHANNEL_TIMEOUT_S} s ({error.code().name}).\n{self._last_lines(server.port)}"
                    ) from None

    def _last_lines(self, port: int) -> str:
        path = self._log_dir / f"ray_client_server_{port}.err"
        lines = path.read_text(errors="replace").splitlines()[-20:]
        return f"The last lines of {path}:\n" + ("\n".join(lines) or "(it is empty)")

    def _reap(self, server: SpecificServer, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        log.info("The server of client %s (port %s) ended with status %s.", server.client_id, server.port, status)
        self._forget(server)

    def _forget(self, server: SpecificServer) -> None:
        with self._lock:
            if self._servers.get(server.client_id) is not server:
                return
            del self._servers[server.client_id]
            self._ports.give_back(server.port)
        if server.channel is not None:
            server.channel.close()

    def end(self, server: SpecificServer) -> None:
        """The client needs it no more."""
        if server.process is None:
            self._forget(server)
        elif server.process.poll() is None:
            server.process.terminate()  # `_reap` does the rest

    def stop(self, timeout_s: float) -> None:
        """End all of them and wait; kill what does not end in time."""
        with self._lock:
            processes = [server.process for server in self._servers.values() if server.process is not None]
        for process in processes:
            process.terminate()
        deadline_at_s = time.monotonic() + timeout_s
        for process in processes:
            try:
                process.wait(max(deadline_at_s - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
