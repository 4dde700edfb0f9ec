"""The unary calls of the Ray Client, and what they share with the data stream. Floor: client, shell.

Runs in a driver of its own. Each call of a client finds that client's `ClientState`; the calls on objects and tasks
are made through the public API, with the client hook off, so that they mean this process's own session.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import grpc

import ray
from ray import cloudpickle
from ray._core.common import packages
from ray._private.client_mode_hook import disable_client_hook
from ray.core.generated import ray_client_pb2 as pb
from ray.core.generated import ray_client_pb2_grpc as pb_grpc
from ray.exceptions import GetTimeoutError
from ray.experimental import internal_kv
from ray.util.client import bulk
from ray.util.client.chunks import count_chunks, split
from ray.util.client.response_cache import IN_PROGRESS, NEW, StaleRequestError
from ray.util.client.server import scheduling
from ray.util.client.server.client_state import ClientState

log = logging.getLogger(__name__)
T = TypeVar("T", bound=Any)


def values_to_store(request: pb.KVPutRequest) -> Iterable[tuple[bytes, bytes]]:
    """Keys and values: a package of a runtime environment, which an original client sends whole, is stored in parts."""
    if not packages.is_package(request.namespace.decode(), request.key):
        return [(request.key, request.value)]
    return ((key.encode(), part) for key, part in packages.in_parts(request.key.decode(), io.BytesIO(request.value)))


def metadata_of(context: Any) -> dict[str, str]:
    return {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}


def abort_with(context: Any, pickled_error: bytes) -> None:
    """End a call with an exception that the client raises: it travels in the details of an ABORTED."""
    context.abort(grpc.StatusCode.ABORTED, base64.b64encode(pickled_error).decode())


class RayletServicer(pb_grpc.RayletDriverServicer):  # type: ignore[misc]
    """Args:
    connect: called as `connect(job_config, **ray_init_kwargs)` by the first Init; None: the session is there.
    """

    def __init__(self, connect: Callable[..., Any] | None = None) -> None:
        self._connect = connect
        self._connect_lock = threading.Lock()
        self._clients: dict[str, ClientState] = {}
        self._lock = threading.Lock()

    # ---------------------------------------------------------- clients

    def client(self, client_id: str, *, counted: bool = False) -> ClientState:
        """The client's state, made at its first call."""
        with self._lock:
            state = self._clients.get(client_id)
            if state is None:
                state = self._clients[client_id] = ClientState(client_id, counted=counted)
            return state

    def known_client(self, client_id: str) -> ClientState | None:
        with self._lock:
            return self._clients.get(client_id)

    def drop_client(self, client_id: str) -> None:
        """Let go of everything that the client held."""
        with self._lock:
            state = self._clients.pop(client_id, None)
        if state is not None:
            state.release_all()

    def _client_of(self, context: Any) -> ClientState:
        return self.client(metadata_of(context).get("client_id", ""))

    def _once(self, context: Any, response_type: Callable[[], T], execute: Callable[[], T]) -> T:
        """`execute()`, or the answer of before if the client sends this call again after a broken connection."""
        metadata = metadata_of(context)
        if "thread_id" not in metadata or "req_id" not in metadata:
            return execute()
        client = self._client_of(context)
        thread_id, request_id = metadata["thread_id"], int(metadata["req_id"])
        try:
            with client.lock:
                known = client.unary.begin(thread_id, request_id)
        except StaleRequestError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if known is IN_PROGRESS:
            context.abort(grpc.StatusCode.UNAVAILABLE, f"Request {request_id} is still being executed.")
        if known is not NEW:
            answer = response_type()
            answer.ParseFromString(known)
            return answer
        try:
            response = execute()
        except BaseException:
            with client.lock:
                client.unary.abandon(thread_id, request_id)
            raise
        with client.lock:
            client.unary.finish(thread_id, request_id, response.SerializeToString())
        return response

    # ---------------------------------------------------------- the session

    @disable_client_hook()
    def Init(self, request: pb.InitRequest, context: Any = None) -> pb.InitResponse:
        """Connect this process to its cluster, as the client asked; at once when it is connected."""
        with self._connect_lock:
            if ray.is_initialized() or self._connect is None:
                return pb.InitResponse(ok=True)
            try:
                job_config = cloudpickle.loads(request.job_config) if request.job_config else None
                self._connect(job_config, **json.loads(request.ray_init_kwargs or "{}"))
            except Exception:
                log.exception("Ray Client: the session that a client asked for could not be made.")
                return pb.InitResponse(ok=False, msg=traceback.format_exc())
            return pb.InitResponse(ok=True)

    def PrepRuntimeEnv(self, request: pb.PrepRuntimeEnvRequest, context: Any = None) -> pb.PrepRuntimeEnvResponse:
        return pb.PrepRuntimeEnvResponse()

    @disable_client_hook()
    def ClusterInfo(self, request: pb.ClusterInfoRequest, context: Any = None) -> pb.ClusterInfoResponse:
        kind = pb.ClusterInfoType
        response = pb.ClusterInfoResponse(type=request.type)
        match request.type:
            case kind.CLUSTER_RESOURCES:
                response.resource_table.table.update(ray.cluster_resources())
            case kind.AVAILABLE_RESOURCES:
                response.resource_table.table.update(ray.available_resources())
            case kind.RUNTIME_CONTEXT:
                response.runtime_context.CopyFrom(_runtime_context())
            case kind.IS_INITIALIZED:
                response.json = json.dumps(ray.is_initialized())
            case kind.NODES:
                response.json = json.dumps(ray.nodes())
            case kind.TIMELINE:
                response.json = json.dumps(getattr(ray, "timeline")())  # noqa: B009
            case kind.PING:
                response.json = json.dumps({})
            case kind.DASHBOARD_URL:
                response.json = json.dumps({"dashboard_url": _dashboard_url()})
            case _:
                raise TypeError(f"Unsupported cluster info type {request.type}")
        return response

    @disable_client_hook()
    def ListNamedActors(
        self, request: pb.ClientListNamedActorsRequest, context: Any = None
    ) -> pb.ClientListNamedActorsResponse:
        actors = ray.util.list_named_actors(all_namespaces=request.all_namespaces)
        return pb.ClientListNamedActorsResponse(actors_json=json.dumps(actors))

    # ---------------------------------------------------------- key-value

    @disable_client_hook()
    def KVPut(self, request: pb.KVPutRequest, context: Any = None) -> pb.KVPutResponse:
        def put() -> pb.KVPutResponse:
            existed = False
            for key, value in values_to_store(request):
                existed = internal_kv._internal_kv_put(
                    key, value, overwrite=request.overwrite, namespace=request.namespace
                )
            return pb.KVPutResponse(already_exists=existed)

        return self._once(context, pb.KVPutResponse, put)

    @disable_client_hook()
    def KVGet(self, request: pb.KVGetRequest, context: Any = None) -> pb.KVGetResponse:
        return pb.KVGetResponse(value=internal_kv._internal_kv_get(request.key, namespace=request.namespace))

    @disable_client_hook()
    def KVDel(self, request: pb.KVDelRequest, context: Any = None) -> pb.KVDelResponse:
        def delete() -> pb.KVDelResponse:
            count = internal_kv._internal_kv_del(
                request.key, del_by_prefix=request.del_by_prefix, namespace=request.namespace
            )
            return pb.KVDelResponse(deleted_num=count)

        return self._once(context, pb.KVDelResponse, delete)

    @disable_client_hook()
    def KVList(self, request: pb.KVListRequest, context: Any = None) -> pb.KVListResponse:
        return pb.KVListResponse(keys=internal_kv._internal_kv_list(request.prefix, namespace=request.namespace))

    @disable_client_hook()
    def KVExists(self, request: pb.KVExistsRequest, context: Any = None) -> pb.KVExistsResponse:
        return pb.KVExistsResponse(exists=internal_kv._internal_kv_exists(request.key, namespace=request.namespace))

    def PinRuntimeEnvURI(
        self, request: pb.ClientPinRuntimeEnvURIRequest, context: Any = None
    ) -> pb.ClientPinRuntimeEnvURIResponse:
        """A package that the client uploaded; the GCS keeps packages by itself for as long as they may be needed."""
        return pb.ClientPinRuntimeEnvURIResponse()

    # ---------------------------------------------------------- objects and tasks

    def GetObject(self, request: pb.GetRequest, context: Any) -> Iterator[pb.GetResponse]:
        client = self._client_of(context)
        yield from self.values(client, request)

    def values(self, client: ClientState, request: pb.GetRequest) -> Iterator[pb.GetResponse]:
        """The list of the values, pickled, in pieces; or one response with the error.

        An asynchronous request is for one object, and its answer is that value itself.
        """
        timeout = None if request.asynchronous else request.timeout
        try:
            with disable_client_hook():
                refs = [client.ref(key) for key in request.ids]
                values = ray.get(refs, timeout=timeout)
                if request.bulk_id and self._send_in_bulk(client, request.bulk_id, values):
                    yield pb.GetResponse(valid=True, in_bulk=True, total_chunks=1)
                    return
                data = client.dumps(values[0] if request.asynchronous and len(values) == 1 else values)
        except GetTimeoutError:
            error: Exception = GetTimeoutError("Get timed out: some object(s) not ready.")
            yield pb.GetResponse(valid=False, error=client.dump_error(error))
            return
        except Exception as raised:
            yield pb.GetResponse(valid=False, error=client.dump_error(raised))
            return
        total = count_chunks(len(data))
        for number, piece in split(data, start=request.start_chunk_id):
            yield pb.GetResponse(valid=True, data=piece, chunk_id=number, total_chunks=total, total_size=len(data))

    def _send_in_bulk(self, client: ClientState, number: int, values: list[Any]) -> bool:
        """Whether the values went by the client's bulk connection: it has one, and they are large."""
        connection = client.bulk
        if connection is None or not connection.is_open:
            return False
        buffers: list[Any] = []
        pickled = client.dumps(values, buffers.append)
        views = [buffer.raw() for buffer in buffers]
        is_large = len(pickled) + sum(view.nbytes for view in views) >= bulk.LEAST_SIZE
        return is_large and connection.send(number, pickled, views)

    @disable_client_hook()
    def PutObject(self, request: pb.PutRequest, context: Any) -> pb.PutResponse:
        return self.put(self._client_of(context), request.data, request.client_ref_id)

    def put(self, client: ClientState, data: bytes, client_ref_id: bytes, bulk_id: int = 0) -> pb.PutResponse:
        try:
            if bulk_id:
                if client.bulk is None:
                    raise ConnectionError("The value was lost: there is no bulk connection.")
                ref = client.bulk.take_upload(bulk_id)
            else:
                ref = ray.put(client.loads(data))
            key = client.hand_out_ref(ref)
        except Exception as error:
            return pb.PutResponse(id=b"", valid=False, error=client.dump_error(error))
        if client_ref_id:
            client.aliases[client_ref_id] = key
        return pb.PutResponse(id=key, valid=True)

    @disable_client_hook()
    def WaitObject(self, request: pb.WaitRequest, context: Any = None) -> pb.WaitResponse:
        client = self.client(request.client_id)
        timeout = request.timeout if request.timeout >= 0 else None
        try:
            refs = [client.ref(key) for key in request.object_ids]
            ready, remaining = ray.wait(refs, num_returns=request.num_returns, timeout=timeout)
        except Exception as error:
            log.error("Exception %s", error)  # the answer has no room for it; the log stream shows it to the client
            return pb.WaitResponse(valid=False)
        return pb.WaitResponse(
            valid=True,
            ready_object_ids=[ref.binary() for ref in ready],
            remaining_object_ids=[ref.binary() for ref in remaining],
        )

    @disable_client_hook()
    def Schedule(self, task: pb.ClientTask, context: Any) -> pb.ClientTaskTicket:
        return self.schedule(self._client_of(context), task, task.data)

    def schedule(self, client: ClientState, task: pb.ClientTask, data: bytes) -> pb.ClientTaskTicket:
        try:
            return pb.ClientTaskTicket(valid=True, return_ids=scheduling.call(client, task, data))
        except Exception as error:
            log.debug("Ray Client: a call of %s failed.", task.name, exc_info=True)
            return pb.ClientTaskTicket(valid=False, error=client.dump_error(error))

    @disable_client_hook()
    def Terminate(self, request: pb.TerminateRequest, context: Any = None) -> pb.TerminateResponse:
        client = self.client(request.client_id)
        try:
            if request.HasField("actor"):
                ray.kill(client.actor(request.actor.id), no_restart=request.actor.no_restart)
            elif request.HasField("task_object"):
                what = request.task_object
                ray.cancel(client.ref(what.id), force=what.force, recursive=what.recursive)
            else:
                raise ValueError("A TerminateRequest names an actor or a task's object.")
        except Exception as error:
            if context is None:
                raise
            abort_with(context, client.dump_error(error))
        return pb.TerminateResponse(ok=True)


def _runtime_context() -> pb.ClusterInfoResponse.RuntimeContext:
    here = ray.get_runtime_context()
    return pb.ClusterInfoResponse.RuntimeContext(
        job_id=bytes.fromhex(here.get_job_id()),
        node_id=bytes.fromhex(here.get_node_id()),
        worker_id=bytes.fromhex(here.get_worker_id()),
        namespace=here.namespace,
        runtime_env=here.get_runtime_env_string(),
        capture_client_tasks=getattr(here, "should_capture_child_tasks_in_placement_group", False),
        gcs_address=here.gcs_address,
        session_name=here.get_session_name(),
    )


def _dashboard_url() -> str | None:
    from ray._private.session import context

    return context().dashboard_url or None
