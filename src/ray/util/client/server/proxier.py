"""The proxy: what clients connect to. One server behind it for each of them; it relays all their calls, unread.

Floor: client, shell. Messages pass as bytes. Read are only the first of a data stream, which says what session the
client wants, and small ones that tell of its end or its number of fellows. Before a client has its server the proxy
itself answers pings and takes packages of its runtime environment.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from ray import cloudpickle
from ray._core.common import messages as m
from ray._core.wire import auth
from ray._private.not_included import absent_names
from ray.core.generated import ray_client_pb2 as pb
from ray.util.client import settings
from ray.util.client.server.client_envs import ClientEnvs
from ray.util.client.server.gcs_access import GcsAccess
from ray.util.client.server.server import StopSignal
from ray.util.client.server.servicer import metadata_of, values_to_store
from ray.util.client.server.specific import ServerPool, SpecificServer
from ray.util.client.transport import open_server

log = logging.getLogger(__name__)
HEALTH_KEY, HEALTH_NAMESPACE, HEALTH_PERIOD_S = b"ray_client_server", "healthcheck", 1.0
_SMALL = 128
"""Bytes: messages that the proxy looks into are smaller."""
_NO_LIMIT_S = 1e8
_NOT_RELAYED = ("user-agent", "grpc-")


def _bytes(message: bytes) -> bytes:
    return message


class Proxy:
    """Relays calls of all services to the caller's server."""

    def __init__(self, pool: ServerPool, envs: ClientEnvs, gcs: GcsAccess) -> None:
        self._pool = pool
        self._envs = envs
        self._gcs = gcs

    # ---------------------------------------------------------- registration

    def add_to(self, server: Any) -> None:
        """Register all services of the .proto file, by their descriptors."""
        own = {"Datapath": self._datapath, "Logstream": self._logstream}
        for service in pb.DESCRIPTOR.services_by_name.values():
            handlers = {}
            for method in service.methods:
                kind = f"{_word(method.client_streaming)}_{_word(method.server_streaming)}"
                path = f"/{service.full_name}/{method.name}"
                relay = own.get(method.name) or self._relay(kind, path, method.name)
                make = getattr(grpc, f"{kind}_rpc_method_handler")
                handlers[method.name] = make(relay, request_deserializer=_bytes, response_serializer=_bytes)
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))

    # ---------------------------------------------------------- unary calls

    def _relay(self, kind: str, path: str, name: str) -> Callable[[bytes, Any], Any]:
        def unary(request: bytes, context: Any) -> bytes:
            server = self._pool.find(_client_id(context))
            if server is None and (answer := self._answer_itself(name, request)) is not None:
                return answer
            server = self._serving(context)
            call = getattr(server.channel, kind)(path, request_serializer=_bytes, response_deserializer=_bytes)
            with _errors_passed_on(context):
                response: bytes = call(request, metadata=_metadata(context), timeout=_left_s(context))
                return response
            raise AssertionError("not reached")

        def stream(request: bytes, context: Any) -> Iterator[bytes]:
            server = self._serving(context)
            call = getattr(server.channel, kind)(path, request_serializer=_bytes, response_deserializer=_bytes)
            with _errors_passed_on(context):
                responses = call(request, metadata=_metadata(context), timeout=_left_s(context))
                context.add_callback(responses.cancel)
                yield from responses

        return stream if kind == "unary_stream" else unary

    def _answer_itself(self, name: str, request: bytes) -> bytes | None:
        """For a client that has no server yet; None: that cannot be answered here."""
        match name:
            case "ClusterInfo":
                if pb.ClusterInfoRequest.FromString(request).type != pb.ClusterInfoType.PING:
                    return None
                response: Any = pb.ClusterInfoResponse(type=pb.ClusterInfoType.PING, json=json.dumps({}))
            case "KVPut":
                put = pb.KVPutRequest.FromString(request)
                count = 0
                for key, value in values_to_store(put):
                    message = m.KvPut(namespace=put.namespace.decode(), key=key, value=value, overwrite=put.overwrite)
                    count = self._gcs.ask(message).count
                response = pb.KVPutResponse(already_exists=not count)
            case "KVExists":
                exists = pb.KVExistsRequest.FromString(request)
                count = self._gcs.ask(m.KvExists(namespace=exists.namespace.decode(), key=exists.key)).count
                response = pb.KVExistsResponse(exists=bool(count))
            case "KVGet":
                get = pb.KVGetRequest.FromString(request)
                value = self._gcs.ask(m.KvGet(namespace=get.namespace.decode(), key=get.key)).value
                response = pb.KVGetResponse(value=value)
            case "PinRuntimeEnvURI":
                response = pb.ClientPinRuntimeEnvURIResponse()
            case _:
                return None
        return bytes(response.SerializeToString())

    def _serving(self, context: Any) -> SpecificServer:
        """The caller's server; ends the call when it has none."""
        server = self._pool.wait(_client_id(context), settings.CHECK_CHANNEL_TIMEOUT_S)
        if server is None:
            context.abort(
                grpc.StatusCode.NOT_FOUND,
                f"Ray Client: there is no server for client {_client_id(context)}. Its session has ended, or was never "
                "made; see ray_client_server.err and ray_client_server_<port>.err in the head's log directory.",
            )
        assert server is not None
        return server

    # ---------------------------------------------------------- streams

    def _datapath(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        client_id = _client_id(context)
        if not client_id:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The metadata of the call has no client_id.")
        if metadata_of(context).get("reconnecting") == "True":
            server = self._serving(context)
        else:
            first = next(requests, None)
            if first is None:
                return
            refusal = self._begin_session(client_id, first, context)
            if refusal is not None:
                yield refusal
                return
            server = self._serving(context)
            requests = _after(first, requests)
        watch = _Watch(requests, lambda: len(self._pool))
        call = server.channel.stream_stream(
            "/ray.rpc.RayletDataStreamer/Datapath", request_serializer=_bytes, response_deserializer=_bytes
        )
        try:
            with _errors_passed_on(context):
                responses = call(watch.requests(), metadata=_metadata(context))
                context.add_callback(responses.cancel)
                yield from watch.responses(responses)
        finally:
            if watch.said_goodbye:
                self._pool.end(server)

    def _begin_session(self, client_id: str, first: bytes, context: Any) -> bytes | None:
        """Start the client's server. None: it serves; otherwise what to answer to the client."""
        request = pb.DataRequest.FromString(first)
        if request.WhichOneof("type") != "init":
            context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, "Ray Client: the first request of a data stream must be an init."
            )
        if len(self._pool) >= settings.CLIENT_SERVER_MAX_THREADS // 2:
            context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"Too many clients: this proxy has {len(self._pool)} already (half of RAY_CLIENT_SERVER_MAX_THREADS).",
            )
        try:
            job_config = cloudpickle.loads(request.init.job_config) if request.init.job_config else None
            runtime_env = dict(getattr(job_config, "runtime_env", None) or {})
            self._pool.start(client_id, lambda port: self._envs.context(runtime_env, port))
        except Exception as error:
            log.exception("The server of client %s did not start.", client_id)
            text = f"Starting Ray client server failed. See ray_client_server.err in the head's log directory.\n{error}"
            refusal = pb.DataResponse(req_id=request.req_id, init=pb.InitResponse(ok=False, msg=text))
            return bytes(refusal.SerializeToString())
        return None

    def _logstream(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        """The client opens it together with the data stream, so its server may be on its way only."""
        server = self._pool.wait(_client_id(context), settings.CHECK_CHANNEL_TIMEOUT_S, comes=True)
        if server is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"There is no server for client {_client_id(context)}.")
        assert server is not None
        call = server.channel.stream_stream(
            "/ray.rpc.RayletLogStreamer/Logstream", request_serializer=_bytes, response_deserializer=_bytes
        )
        with _errors_passed_on(context):
            responses = call(requests, metadata=_metadata(context))
            context.add_callback(responses.cancel)
            yield from responses


class _Watch:
    """Messages of a data stream in passing: sees the goodbye, and puts the number of all clients where one is told."""

    def __init__(self, requests: Iterator[bytes], count_clients: Callable[[], int]) -> None:
        self._requests = requests
        self._count_clients = count_clients
        self.said_goodbye = False

    def requests(self) -> Iterator[bytes]:
        with contextlib.suppress(Exception):  # grpc raises a bare Exception when the client is gone
            for message in self._requests:
                if len(message) < _SMALL and pb.DataRequest.FromString(message).HasField("connection_cleanup"):
                    self.said_goodbye = True
                yield message

    def responses(self, responses: Iterator[bytes]) -> Iterator[bytes]:
        for message in responses:
            yield self._counted(message) if len(message) < _SMALL else message

    def _counted(self, message: bytes) -> bytes:
        response = pb.DataResponse.FromString(message)
        if not response.HasField("connection_info"):
            return message
        response.connection_info.num_clients = self._count_clients()
        return bytes(response.SerializeToString())


def _after(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _word(is_streaming: bool) -> str:
    return "stream" if is_streaming else "unary"


def _client_id(context: Any) -> str:
    return metadata_of(context).get("client_id", "")


def _metadata(context: Any) -> list[tuple[str, str | bytes]]:
    return [(key, value) for key, value in context.invocation_metadata() if not key.startswith(_NOT_RELAYED)]


def _left_s(context: Any) -> float | None:
    """Until the caller gives up; None when it set no limit, of which gRPC makes a number too large for itself."""
    left_s: float | None = context.time_remaining()
    return None if left_s is None or left_s > _NO_LIMIT_S else left_s


@contextlib.contextmanager
def _errors_passed_on(context: Any) -> Iterator[None]:
    """An error of the client's server becomes the same error of the proxy."""
    try:
        yield
    except grpc.RpcError as error:
        if context.is_active():
            context.abort(error.code(), error.details())


def _report_health(gcs: GcsAccess, stopped: threading.Event) -> None:
    """Write the time to the key-value table until stopped; `ray health-check` looks at it."""
    while True:
        value = json.dumps({"time": time.time()}).encode()
        try:
            gcs.ask(m.KvPut(namespace=HEALTH_NAMESPACE, key=HEALTH_KEY, value=value))
        except OSError as error:
            log.warning("The health of the Ray Client server could not be reported: %s", error)
        if stopped.wait(HEALTH_PERIOD_S):
            return


def serve_proxy(arguments: argparse.Namespace, stopped: StopSignal, ready: Callable[[int], None]) -> int:
    """Serve until `stopped`; the process's exit status."""
    if not arguments.address:
        log.error("The proxy needs to know its cluster: --address=host:port")
        return 2
    gcs = GcsAccess(arguments.address)
    session_dir = Path(gcs.facts().session_dir)
    pool = ServerPool(arguments.address, session_dir / "logs", arguments.host)
    server, port = open_server(
        f"{arguments.host}:{arguments.port}", token=auth.load_token(), threads=settings.CLIENT_SERVER_MAX_THREADS
    )
    Proxy(pool, ClientEnvs(gcs, session_dir), gcs).add_to(server)
    server.start()
    log.info("Ray Client server (proxy) on %s:%s for the cluster at %s.", arguments.host, port, arguments.address)
    threading.Thread(target=_report_health, args=(GcsAccess(arguments.address), stopped), daemon=True).start()
    ready(port)
    stopped.block()
    server.stop(0).wait()
    pool.stop(timeout_s=5.0)
    gcs.close()
    return 0


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "ProxyManager serve_proxier RequestIteratorProxy prepare_runtime_init_req DataServicerProxy "
        "LogstreamServicerProxy RayletServicerProxy ray_client_server_env_prep",
    )
