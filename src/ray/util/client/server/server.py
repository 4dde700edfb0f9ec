"""`python -m ray.util.client.server`: its arguments, and the server of one session. Floor: client, shell.

Modes: "proxy" (one specific server per client, see `proxier`), "specific-server" (a driver for one client), "legacy"
(one driver that all clients share).
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import ray
from ray._core.wire import auth
from ray.core.generated import ray_client_pb2_grpc as pb_grpc
from ray.util.client.server.dataservicer import DataServicer
from ray.util.client.server.logservicer import LogHub, LogstreamServicer
from ray.util.client.server.servicer import RayletServicer
from ray.util.client.settings import DEFAULT_PORT, TIMEOUT_FOR_SPECIFIC_SERVER_S
from ray.util.client.transport import open_server

log = logging.getLogger(__name__)


class ClientServer:
    """A serving Ray Client server of this process's session."""

    def __init__(self, grpc_server: Any, port: int, basic: RayletServicer, data: DataServicer) -> None:
        self.grpc_server = grpc_server
        self.port = port
        self.task_servicer = basic
        self.data_servicer = data

    def stop(self, grace_s: float | None = 0) -> None:
        self.data_servicer.stop()
        self.grpc_server.stop(grace_s).wait()


def serve(
    host: str,
    port: int,
    connect: Callable[..., Any] | None = None,
    *,
    hub: LogHub | None = None,
    last_client_gone: Callable[[], None] = lambda: None,
) -> ClientServer:
    """Serve clients on host:port (0: any free port).

    Args:
        connect: makes the session, with the job config and keyword arguments of the first client's Init.
    Raises:
        RuntimeError: the port is taken.
    """
    grpc_server, bound = open_server(f"{host}:{port}", token=auth.load_token())
    basic = RayletServicer(connect)
    data = DataServicer(basic, last_client_gone)
    pb_grpc.add_RayletDriverServicer_to_server(basic, grpc_server)
    pb_grpc.add_RayletDataStreamerServicer_to_server(data, grpc_server)
    pb_grpc.add_RayletLogStreamerServicer_to_server(LogstreamServicer(hub or LogHub()), grpc_server)
    grpc_server.start()
    return ClientServer(grpc_server, bound, basic, data)


def connector(address: str | None) -> Callable[..., Any]:
    """What connects a server's process to its cluster when the first client says how."""

    def connect(job_config: Any = None, **init_kwargs: Any) -> Any:
        if job_config is not None:
            init_kwargs.pop("runtime_env", None)  # it is in the job config too, where the client has prepared it
            init_kwargs.setdefault("namespace", job_config.ray_namespace)
        return ray.init(address=address, job_config=job_config, **init_kwargs)

    return connect


class _Idle:
    """Ends the process once it has had no clients for a while."""

    def __init__(self, server_of: Callable[[], ClientServer], timeout_s: float) -> None:
        self._server_of, self._timeout_s = server_of, timeout_s
        self.is_over = threading.Event()

    def watch(self) -> None:
        """Start waiting; a client that comes in time stops the end."""
        timer = threading.Timer(self._timeout_s, self._check)
        timer.daemon = True
        timer.start()

    def _check(self) -> None:
        if self._server_of().data_servicer.num_clients == 0:
            self.is_over.set()


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ray.util.client.server")
    parser.add_argument("--host", default="0.0.0.0", help="Address to listen on.")
    parser.add_argument("-p", "--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--mode", choices=["proxy", "legacy", "specific-server"], default="proxy")
    parser.add_argument("--address", default=None, help="The cluster, as host:port of its GCS.")
    parser.add_argument("--redis-username", default=None)
    parser.add_argument("--redis-password", default=os.environ.get("RAY_REDIS_PASSWORD"))
    parser.add_argument("--metrics-agent-port", type=int, default=0)
    parser.add_argument("--runtime-env-agent-address", default=None)
    parser.add_argument("--node-id", default=None)
    arguments, _ = parser.parse_known_args(argv)
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    if arguments.mode == "proxy":
        from ray.util.client.server.proxier import serve_proxy

        return serve_proxy(arguments, stopped)
    hub = LogHub()
    hub.install()
    connect = connector(arguments.address)
    if arguments.mode == "legacy":
        connect()
    idle = _Idle(lambda: server, TIMEOUT_FOR_SPECIFIC_SERVER_S)
    idle.is_over = stopped
    is_specific = arguments.mode == "specific-server"
    server = serve(
        arguments.host,
        arguments.port,
        connect,
        hub=hub,
        last_client_gone=idle.watch if is_specific else lambda: None,
    )
    log.info("Ray Client server (%s) on %s:%s.", arguments.mode, arguments.host, server.port)
    if is_specific:
        idle.watch()
    stopped.wait()
    server.stop()
    with contextlib.suppress(Exception):
        ray.shutdown()
    return 0
