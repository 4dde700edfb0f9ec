"""`python -m ray.util.client.server`: its arguments, and the server of one session. Floor: client, shell.

Modes: "proxy" (one specific server per client, see `proxier`), "specific-server" (a driver for one client), "legacy"
(one driver that all clients share).
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import ray
from ray._core.wire import auth, tls
from ray._private import auto_init_hook
from ray._private.client_mode_hook import disable_client_hook
from ray._private.session import session
from ray.core.generated import ray_client_pb2_grpc as pb_grpc
from ray.util.client.bulk import NO_BULK
from ray.util.client.server.bulk_server import BulkServer
from ray.util.client.server.dataservicer import DataServicer
from ray.util.client.server.logservicer import LogHub, LogstreamServicer
from ray.util.client.server.servicer import RayletServicer
from ray.util.client.settings import DEFAULT_PORT, TIMEOUT_FOR_SPECIFIC_SERVER_S
from ray.util.client.transport import open_server

log = logging.getLogger(__name__)
STOP_S = 10.0
"""A server that has not ended this long after it was told to writes where its threads are, and ends."""


class ClientServer:
    """A serving Ray Client server of this process's session."""

    def __init__(
        self, grpc_server: Any, port: int, basic: RayletServicer, data: DataServicer, bulk: BulkServer | None
    ) -> None:
        self.grpc_server = grpc_server
        self.port = port
        self.task_servicer = basic
        self.data_servicer = data
        self._bulk = bulk

    def stop(self, grace_s: float | None = 0) -> None:
        self.data_servicer.stop()
        if self._bulk is not None:
            self._bulk.stop()
        self.grpc_server.stop(grace_s).wait()


def serve(
    host: str,
    port: int,
    ray_connect_handler: Callable[..., Any] | None = None,
    *,
    hub: LogHub | None = None,
    bulk_host: str | None = None,
    last_client_gone: Callable[[], None] = lambda: None,
) -> ClientServer:
    """Serve clients on host:port (0: any free port).

    Args:
        ray_connect_handler: makes the session, with the job config and keyword arguments of the first client's Init.
        bulk_host: where clients of a proxy reach this process; default: `host`.
    Raises:
        RuntimeError: the port is taken.
    """
    token = auth.load_token(create=True)
    grpc_server, bound = open_server(f"{host}:{port}", token=token)
    basic = RayletServicer(ray_connect_handler)
    data = DataServicer(basic, last_client_gone)
    pb_grpc.add_RayletDriverServicer_to_server(basic, grpc_server)
    pb_grpc.add_RayletDataStreamerServicer_to_server(data, grpc_server)
    pb_grpc.add_RayletLogStreamerServicer_to_server(LogstreamServicer(hub or LogHub()), grpc_server)
    bulk = None if tls.uses_tls() else BulkServer(bulk_host or host, token, basic.known_client)
    data.bulk_port = bulk.port if bulk is not None else NO_BULK
    grpc_server.start()
    return ClientServer(grpc_server, bound, basic, data, bulk)


@disable_client_hook()
def init_and_serve(host: str, port: int, *args: Any, **kwargs: Any) -> tuple[ClientServer, Any]:
    """`ray.init(*args, **kwargs)`, and serve that session: the server, and what `ray.init` returned."""
    info = ray.init(*args, **kwargs)
    return serve(host, port, lambda job_config=None, **init_kwargs: info), info


@disable_client_hook()
def shutdown_with_server(server: ClientServer, _exiting_interpreter: bool = False) -> None:
    """Undo `init_and_serve`."""
    server.stop(1)
    ray.shutdown(_exiting_interpreter=_exiting_interpreter)


def connector(address: str | None) -> Callable[..., Any]:
    """What connects a server's process to its cluster when the first client says how."""

    def connect(job_config: Any = None, **init_kwargs: Any) -> Any:
        if job_config is not None:
            init_kwargs.pop("runtime_env", None)  # it is in the job config too, where the client has prepared it
            init_kwargs.setdefault("namespace", job_config.ray_namespace)
        return ray.init(address=address, job_config=job_config, **init_kwargs)

    return connect


class StopSignal(threading.Event):
    """Set by SIGTERM and SIGINT, or by any thread. The main thread waits by `block`.

    Not by `wait`: a signal that the system hands to one of gRPC's threads does not wake a main thread in there.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)

    def install(self) -> None:
        """From now on; main thread only."""
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # what counts is the byte that the wakeup descriptor gets

    def set(self) -> None:
        super().set()
        with contextlib.suppress(BlockingIOError):  # it is full of reasons to wake up
            os.write(self._writing, b"\0")

    def block(self) -> None:
        """Wait, and let `wait` of other threads return too."""
        os.read(self._reading, 1)
        super().set()


class _SessionEnd:
    """Ends the session with its last client, and then the process: at once behind a proxy, else after a while."""

    def __init__(self, server_of: Callable[[], ClientServer], stopped: StopSignal, idle_s: float) -> None:
        self._server_of, self._stopped, self._idle_s = server_of, stopped, idle_s

    @disable_client_hook()
    def last_client_gone(self) -> None:
        try:
            ray.shutdown()
        except Exception:  # the next client gets a session of its own all the same
            log.exception("The session of the last client could not be ended.")
        self.wait_for_client()

    def wait_for_client(self) -> None:
        """End the process unless a client comes in time."""
        timer = threading.Timer(self._idle_s, self._end_if_idle)
        timer.daemon = True
        timer.start()

    def _end_if_idle(self) -> None:
        if self._server_of().data_servicer.num_clients == 0:
            self._stopped.set()


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
    parser.add_argument("--ready-fd", type=int, default=-1, help=argparse.SUPPRESS)
    parser.add_argument("--bulk-host", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--lifeline", action="store_true", help=argparse.SUPPRESS)
    arguments, _ = parser.parse_known_args(argv)
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s")
    stopped = StopSignal()
    stopped.install()
    if arguments.mode == "proxy":
        from ray.util.client.server.proxier import serve_proxy

        return serve_proxy(arguments, stopped, lambda port: _say_ready(arguments.ready_fd, port))
    if arguments.lifeline:
        threading.Thread(target=_end_with_parent, args=(stopped,), daemon=True).start()
    _serve_session(arguments, stopped)
    return 0


def _serve_session(arguments: argparse.Namespace, stopped: StopSignal) -> None:
    """Be the driver of one session, until `stopped`."""
    auto_init_hook.enable_auto_connect = False  # a call that comes after the session's end must not begin another one
    hub = LogHub(_flush_workers)
    hub.install()
    connect = connector(arguments.address)
    is_specific = arguments.mode == "specific-server"
    end = _SessionEnd(lambda: server, stopped, 0.0 if arguments.lifeline else TIMEOUT_FOR_SPECIFIC_SERVER_S)
    if not is_specific:
        connect()
    last_client_gone = end.last_client_gone if is_specific else lambda: None
    server = serve(
        arguments.host,
        arguments.port,
        connect,
        hub=hub,
        bulk_host=arguments.bulk_host,
        last_client_gone=last_client_gone,
    )
    log.info("Ray Client server (%s) on %s:%s.", arguments.mode, arguments.host, server.port)
    _say_ready(arguments.ready_fd, server.port)
    stopped.block()
    faulthandler.dump_traceback_later(STOP_S, exit=True)  # a call that hangs must not keep a stopped server alive
    server.stop()
    try:
        ray.shutdown()
    except Exception:  # the process ends now, and the session with it
        log.exception("The session could not be ended.")


def _flush_workers() -> None:
    driver_log = session.driver_log
    if driver_log is not None:
        driver_log.flush()


def _say_ready(descriptor: int, port: int) -> None:
    if descriptor >= 0:
        os.write(descriptor, json.dumps({"port": port}).encode() + b"\n")
        os.close(descriptor)


def _end_with_parent(stopped: StopSignal) -> None:
    """The proxy holds the other end of our standard input for as long as it lives."""
    while os.read(0, 1024):
        pass
    stopped.set()
