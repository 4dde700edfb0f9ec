"""The data stream: one per client, for all of its session; its order is the order of the client's calls.

Floor: client, shell. The stream's thread reads requests and executes them one after another; answers leave through an
outbox, which other threads fill too (asynchronous gets). What was answered and not acknowledged is kept, so that a
client whose connection broke can ask again without anything being done twice.
"""

from __future__ import annotations

import logging
import platform
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import grpc

import ray
from ray._private.client_mode_hook import disable_client_hook
from ray._private.not_included import absent_names
from ray.core.generated import ray_client_pb2 as pb
from ray.core.generated import ray_client_pb2_grpc as pb_grpc
from ray.util.client.bulk import NO_BULK
from ray.util.client.chunks import Assembly
from ray.util.client.response_cache import IN_PROGRESS, NEW
from ray.util.client.server.client_state import ClientState
from ray.util.client.server.servicer import RayletServicer, metadata_of
from ray.util.client.sessions import Refused, Sessions, UnknownClient
from ray.util.client.settings import CLIENT_SERVER_MAX_THREADS

log = logging.getLogger(__name__)
Outbox = queue.SimpleQueue[pb.DataResponse | None]


class DataServicer(pb_grpc.RayletDataStreamerServicer):  # type: ignore[misc]
    """Args:
    last_client_gone: called when the last client's session has ended.
    """

    def __init__(self, basic: RayletServicer, last_client_gone: Callable[[], None] = lambda: None) -> None:
        self._basic = basic
        self._last_client_gone = last_client_gone
        self._sessions = Sessions(CLIENT_SERVER_MAX_THREADS // 2)
        self._changed = threading.Condition()
        self._streams: dict[str, _Stream] = {}
        self._getters = ThreadPoolExecutor(8, thread_name_prefix="ray-client-get")
        self.bulk_port = NO_BULK
        """Where clients make bulk connections."""
        self._is_stopped = False
        threading.Thread(target=self._expire, name="ray-client-expiry", daemon=True).start()

    @property
    def num_clients(self) -> int:
        with self._changed:
            return len(self._sessions)

    def stop(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        self._getters.shutdown(wait=False, cancel_futures=True)

    @disable_client_hook()
    def Datapath(self, requests: Iterator[pb.DataRequest], context: Any) -> Iterator[pb.DataResponse]:
        metadata = metadata_of(context)
        client_id = metadata.get("client_id", "")
        if not client_id:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The metadata of the call has no client_id.")
        reconnecting = metadata.get("reconnecting") == "True"
        try:
            with self._changed:
                number, _ = self._sessions.connect(client_id, reconnecting=reconnecting, grace_s=0)
                before = self._streams.get(client_id)
                client = self._basic.client(client_id, counted=metadata.get("counted") == "True")
                stream = self._streams[client_id] = _Stream(self, self._basic, client, number)
        except Refused as refusal:
            is_unknown = isinstance(refusal, UnknownClient)
            context.abort(grpc.StatusCode.NOT_FOUND if is_unknown else grpc.StatusCode.RESOURCE_EXHAUSTED, str(refusal))
        if before is not None:
            before.outbox.put(None)  # its connection is dead, but perhaps nobody has noticed
        threading.Thread(target=stream.serve, args=(requests,), name="ray-client-data", daemon=True).start()
        context.add_callback(lambda: stream.outbox.put(None))
        return iter(stream.outbox.get, None)

    def stream_ended(self, stream: _Stream) -> None:
        client_id = stream.client.client_id
        with self._changed:
            is_over = self._sessions.stream_ended(
                client_id, stream.number, is_final=stream.is_final, now_s=time.monotonic()
            )
            self._changed.notify_all()
        if is_over:
            self._session_over(client_id)

    def present(self, stream: _Stream) -> _Stream:
        """The client's stream now: another than `stream` once the client has reconnected."""
        return self._streams.get(stream.client.client_id, stream)

    def set_grace(self, client_id: str, grace_s: float) -> None:
        with self._changed:
            self._sessions.set_grace(client_id, grace_s)

    def _expire(self) -> None:
        """The thread that ends sessions of clients that did not come back."""
        while True:
            with self._changed:
                if self._is_stopped:
                    return
                over = self._sessions.expire(time.monotonic())
                if not over:
                    at_s = self._sessions.next_expiry_s()
                    self._changed.wait(None if at_s is None else max(at_s - time.monotonic(), 0))
                    continue
            for client_id in over:
                log.info("Ray Client: client %s did not come back within its grace period.", client_id)
                self._session_over(client_id)

    def _session_over(self, client_id: str) -> None:
        self._streams.pop(client_id, None)
        self._basic.drop_client(client_id)
        with self._changed:
            is_last = len(self._sessions) == 0
        if is_last:
            self._last_client_gone()

    def get_later(self, stream: _Stream, request: pb.DataRequest) -> None:
        """Answer an asynchronous get when its objects are there."""
        waiting = _Countdown(len(request.get.ids), lambda: self._getters.submit(stream.send_values, request))
        try:
            refs = [stream.client.ref(key) for key in request.get.ids]
        except ValueError as error:
            stream.send(request, get=pb.GetResponse(valid=False, error=stream.client.dump_error(error)))
            return
        for ref in refs:
            ref.future().add_done_callback(lambda _: waiting.one_less())


class _Countdown:
    """Calls `then` when `one_less` was called `count` times."""

    def __init__(self, count: int, then: Callable[[], Any]) -> None:
        self._left, self._then, self._lock = count, then, threading.Lock()

    def one_less(self) -> None:
        with self._lock:
            self._left -= 1
            is_done = self._left == 0
        if is_done:
            self._then()


class _Stream:
    """One data stream: reads requests, executes them in order, sends answers."""

    def __init__(self, servicer: DataServicer, basic: RayletServicer, client: ClientState, number: int) -> None:
        self._servicer = servicer
        self._basic = basic
        self.client = client
        self.number = number
        self.outbox: Outbox = queue.SimpleQueue()
        self.is_final = False
        """Whether the client has said that it will not come back."""
        self._assemblies: dict[int, Assembly] = {}

    @disable_client_hook()
    def serve(self, requests: Iterator[pb.DataRequest]) -> None:
        try:
            for request in requests:
                self._handle(request)
                if self.is_final:
                    break
        except grpc.RpcError:
            log.info("Ray Client: the data stream of client %s was cut.", self.client.client_id)
        except Exception as error:
            if not type(error).__module__.startswith("grpc"):  # grpc raises a bare Exception when the peer is gone
                log.info("Ray Client: the data stream of client %s ended: %r", self.client.client_id, error)
        finally:
            self.outbox.put(None)
            self._servicer.stream_ended(self)

    def _handle(self, request: pb.DataRequest) -> None:
        kind = request.WhichOneof("type")
        match kind:
            case "acknowledge":
                with self.client.lock:
                    self.client.stream.acknowledge(request.acknowledge.req_id)
            case "get":
                self._get(request)
            case "put" | "task":
                self._whole(request, kind)
            case "connection_cleanup":
                self.is_final = True
                self.send(request, connection_cleanup=pb.ConnectionCleanupResponse())
            case None:
                raise ValueError(f"The data request {request.req_id} has no content.")
            case _:
                self._once(request, lambda: self._answer(request, kind))

    def _answer(self, request: pb.DataRequest, kind: str) -> dict[str, Any]:
        """Execute a request that comes in one piece."""
        match kind:
            case "release":
                return {"release": pb.ReleaseResponse(ok=[self.client.release(key) for key in request.release.ids])}
            case "connection_info":
                info = connection_info(self._servicer.num_clients)
                info.bulk_port = self._servicer.bulk_port
                return {"connection_info": info}
            case "init":
                self._servicer.set_grace(self.client.client_id, request.init.reconnect_grace_period)
                return {"init": self._basic.Init(request.init)}
            case "prep_runtime_env":
                return {"prep_runtime_env": pb.PrepRuntimeEnvResponse()}
            case "terminate":
                return {"terminate": self._terminate(request.terminate)}
            case "list_named_actors":
                return {"list_named_actors": self._basic.ListNamedActors(request.list_named_actors)}
        raise ValueError(f"The data stream does not know requests of type {kind!r}.")

    def _terminate(self, request: pb.TerminateRequest) -> pb.TerminateResponse:
        try:
            return self._basic.Terminate(request)
        except Exception as error:
            log.error("Exception %s", error)  # the answer has no room for it; the log stream shows it to the client
            return pb.TerminateResponse(ok=False)

    def _whole(self, request: pb.DataRequest, kind: str) -> None:
        """A put or a task, or a piece of one; executed with the last piece."""
        message = request.put if kind == "put" else request.task
        assembly = self._assemblies.setdefault(request.req_id, Assembly())
        data = assembly.add(message.chunk_id, message.total_chunks, message.data)
        if data is None:
            return
        del self._assemblies[request.req_id]
        if kind == "put":
            self._once(request, lambda: {"put": self._put(message, data)})
        else:
            self._once(request, lambda: {"task_ticket": self._basic.schedule(self.client, message, data)})

    def _put(self, message: pb.PutRequest, data: bytes) -> pb.PutResponse:
        return self._basic.put(self.client, data, message.client_ref_id, message.bulk_id)

    def _once(self, request: pb.DataRequest, execute: Callable[[], dict[str, Any]]) -> None:
        with self.client.lock:
            known = self.client.stream.begin(request.req_id)
        if known is IN_PROGRESS:
            return  # the thread of the stream before is at it; its answer goes to the present stream
        if known is not NEW:
            self.outbox.put(cast(pb.DataResponse, known))
            return
        try:
            answer = execute()
        except Exception:
            with self.client.lock:
                self.client.stream.forget(request.req_id)
            raise
        response = pb.DataResponse(req_id=request.req_id, **answer)
        with self.client.lock:
            self.client.stream.finish(request.req_id, response)
        self._servicer.present(self).outbox.put(response)

    def _get(self, request: pb.DataRequest) -> None:
        if request.get.asynchronous:
            self._servicer.get_later(self, request)
        else:
            self.send_values(request)

    @disable_client_hook()
    def send_values(self, request: pb.DataRequest) -> None:
        for piece in self._basic.values(self.client, request.get):
            self.send(request, get=piece)

    def send(self, request: pb.DataRequest, **answer: Any) -> None:
        self.outbox.put(pb.DataResponse(req_id=request.req_id, **answer))


def connection_info(num_clients: int) -> pb.ConnectionInfoResponse:
    return pb.ConnectionInfoResponse(
        num_clients=num_clients,
        ray_version=ray.__version__,
        ray_commit=ray.__commit__,
        python_version=platform.python_version(),
    )


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "ChunkCollector _get_reconnecting_from_context fill_queue",
    )
