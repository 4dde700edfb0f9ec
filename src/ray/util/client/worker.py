"""The calls of a client: objects, tasks, actors and questions, through one connection.

Floor: client, shell. Calls that must keep their order, or be made at most once, go through the data stream; questions
and downloads are unary calls of their own, tried again while the connection is being made anew.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import grpc

from ray import cloudpickle
from ray.core.generated import ray_client_pb2 as pb
from ray.exceptions import GetTimeoutError
from ray.util.client import bulk, settings
from ray.util.client.chunks import Assembly, count_chunks, split
from ray.util.client.client_pickler import dumps_from_client, dumps_out_of_band, loads_from_server
from ray.util.client.common import ClientActorHandle, ClientActorRef, ClientObjectRef, MethodInfo
from ray.util.client.connection import Connection, Retry
from ray.util.client.dataclient import DataClient, resolve
from ray.util.client.logsclient import LogstreamClient
from ray.util.client.references import ClientRefs

log = logging.getLogger(__name__)


class Worker:
    """Connected once its constructor returns. Arguments and errors are those of `Connection`."""

    def __init__(
        self,
        conn_str: str,
        *,
        secure: bool = False,
        metadata: list[tuple[str, str]] | None = None,
        connection_retries: int = 3,
        credentials: Any = None,
    ) -> None:
        self.client_id = uuid.uuid4().hex
        self._refs = ClientRefs()
        self._refs_lock = threading.Lock()
        self.connection = Connection(
            conn_str,
            self.client_id,
            secure=secure,
            metadata=list(metadata or []),
            retries=connection_retries,
            credentials=credentials,
        )
        self.bulk = bulk.BulkClient(self.client_id)
        self.data_client = DataClient(self.connection, self.ids_to_return)
        self.log_client = LogstreamClient(self.connection)
        self.is_original = False
        """Whether the server is one of the original Ray, which needs other pickles; known after `connection_info`."""

    def is_connected(self) -> bool:
        return not self.connection.is_closing and self.data_client.error is None

    def close(self) -> None:
        """Say goodbye; the server lets go of all that this client held. Again: nothing."""
        if not self.connection.begin_close():
            return
        self.log_client.close()  # first, since the server may end with the data stream
        self.data_client.close()
        self.bulk.close()
        self.connection.close_channel()

    # ---------------------------------------------------------- refs

    def refs_received(self, key: bytes) -> None:
        with self._refs_lock:
            self._refs.received(key)

    def ref_dropped(self, known: bytes | None, pending: Future[bytes] | None) -> None:
        self.data_client.ref_dropped(known, pending)

    def ids_to_return(self, dropped: list[tuple[bytes | None, Future[bytes] | None]]) -> list[bytes]:
        """Count refs that have ended; the ids to return to the server, each as often as it came."""
        ids: list[bytes] = []
        for known, pending in dropped:
            if known is None:
                assert pending is not None
                if not pending.done():
                    pending.add_done_callback(lambda future: self.ref_dropped(None, future))
                    continue
                if (problem := pending.exception()) is not None:
                    log.info("Exception in ObjectRef is ignored in destructor: %s", problem)
                    continue
                known = pending.result()
            with self._refs_lock:
                ids += [known] * self._refs.dropped(known)
        return ids

    # ---------------------------------------------------------- objects

    def put(self, value: Any) -> ClientObjectRef[Any]:
        """Upload a value. A large one goes by the bulk connection if there is one, unless it has refs inside."""
        key = None
        if self.bulk.is_open:
            key = self._put_in_bulk(value)
        if key is None:
            key = self._put_pickled(self._dumps(value))
        return ClientObjectRef(key, worker=self)

    def _dumps(self, value: Any) -> bytes:
        return dumps_from_client(value, self.client_id, for_original=self.is_original)

    def _put_in_bulk(self, value: Any) -> bytes | None:
        """The id; None when the value is not for the bulk connection, or that broke."""
        if type(value) is bytes:
            kind, pickled, buffers = bulk.RAW, value, list[memoryview]()
        else:
            kind = bulk.PICKLE
            pickled, buffers, has_stubs = dumps_out_of_band(value, self.client_id)
            if has_stubs:
                return None
        size = len(pickled) + sum(buffer.nbytes for buffer in buffers)
        number = self.bulk.send(kind, pickled, buffers) if size >= bulk.LEAST_SIZE else None
        if number is None:
            return None
        put = pb.PutRequest(bulk_id=number, total_chunks=1, total_size=size)
        response = self.data_client.ask(pb.DataRequest(put=put)).put
        if not response.valid:
            log.info(
                "Ray Client: a value could not be put by the bulk connection: %s", cloudpickle.loads(response.error)
            )
            return None
        key: bytes = response.id
        return key

    def _put_pickled(self, data: bytes) -> bytes:
        """Upload a pickle in pieces; the id of the object made of it. Raises what the server raised."""
        size, total = len(data), count_chunks(len(data))
        if size > settings.OBJECT_TRANSFER_WARNING_SIZE:
            warnings.warn(
                f"Ray Client is transferring {size / 2**30:.1f} GiB, which can be slow. Make large values in a task or "
                "actor, or read them from a storage that the cluster reaches.",
                stacklevel=5,
            )

        def messages() -> Any:
            for number, piece in split(data):
                put = pb.PutRequest(data=piece, chunk_id=number, total_chunks=total, total_size=size)
                yield pb.DataRequest(put=put)

        future: Future[Any] = Future()
        self.data_client.send(messages, lambda answer: resolve(future, answer))
        response = future.result().put
        if not response.valid:
            raise cloudpickle.loads(response.error)
        key: bytes = response.id
        return key

    def get(self, refs: Any, timeout: float | None = None) -> Any:
        """Values of a ref or a list of refs, asked for in slices of a few seconds.

        Raises:
            GetTimeoutError: they are not there within `timeout` seconds.
        """
        is_one = isinstance(refs, ClientObjectRef)
        many = [refs] if is_one else refs
        if not isinstance(many, list):
            raise TypeError(f"Can't get something that's not a list of IDs or just an ID: {type(refs)}")
        for ref in many:
            if not isinstance(ref, ClientObjectRef):
                raise TypeError(
                    f"Attempting to call `get` on the value {ref!r}, which is not an ObjectRef of this client."
                )
        if not many:
            return []
        ids = [ref.id for ref in many]
        deadline_at_s = None if timeout is None or timeout < 0 else time.monotonic() + timeout
        while True:
            left_s = settings.MAX_BLOCKING_OPERATION_TIME_S
            if deadline_at_s is not None:
                left_s = max(min(left_s, deadline_at_s - time.monotonic()), 0)
            try:
                values = self._get_slice(ids, left_s)
                return values[0] if is_one else values
            except _Raised as raised:
                is_late = deadline_at_s is not None and time.monotonic() >= deadline_at_s
                if is_late or not isinstance(raised.error, GetTimeoutError):
                    raise raised.error from None

    def _get_slice(self, ids: list[bytes], timeout_s: float) -> Any:
        """The list of the values. Raises _Raised."""
        number = self.bulk.number() if self.bulk.is_open else 0
        whole = self._download(ids, timeout_s, number)
        if whole is not None:
            return loads_from_server(whole, self)
        arrived = self.bulk.take(number)
        if arrived is None:  # the bulk connection broke
            return self._get_slice(ids, timeout_s)
        return loads_from_server(arrived[0], self, arrived[1])

    def _download(self, ids: list[bytes], timeout_s: float, bulk_id: int) -> bytes | None:
        """The pickled list of the values; None: it comes on the bulk connection under this number."""
        assembly, retry = Assembly(), Retry(self.connection)
        while True:
            request = pb.GetRequest(ids=ids, timeout=timeout_s, start_chunk_id=assembly.expected, bulk_id=bulk_id)
            try:
                responses = self.connection.server.GetObject(request, metadata=self.connection.metadata)
                for response in responses:
                    if not response.valid:
                        error = cloudpickle.loads(response.error)
                        raise _Raised(error)
                    if response.in_bulk:
                        return None
                    whole = assembly.add(response.chunk_id, response.total_chunks, response.data)
                    if whole is not None:
                        return whole
                raise ConnectionError("The Ray Client server ended its answer before it was complete.")
            except (grpc.RpcError, ValueError) as error:
                retry.after(error)

    def get_async(
        self, ref: ClientObjectRef[Any], deliver: Callable[[Any], None], *, raise_errors: bool = False
    ) -> None:
        """Call `deliver` with the value or the error, in the receiving thread."""
        assembly = Assembly()

        def received(answer: Any) -> bool:
            if isinstance(answer, BaseException):
                deliver(answer)
                return False
            response = answer.get
            try:
                if not response.valid:
                    deliver(cloudpickle.loads(response.error))
                    return False
                whole = assembly.add(response.chunk_id, response.total_chunks, response.data)
                if whole is None:
                    return True
                value = loads_from_server(whole, self)
            except Exception as error:
                deliver(error)
                return False
            deliver(value)
            return False

        def messages() -> Any:
            get = pb.GetRequest(ids=[ref.id], asynchronous=True, start_chunk_id=assembly.expected)
            return (pb.DataRequest(get=get),)

        if ref._pending is None or ref._pending.done():
            try:
                ref.id  # noqa: B018 - raises what the call raised
            except Exception as error:
                deliver(error)
                return
            self.data_client.send(messages, received)
        else:
            ref._pending.add_done_callback(lambda _: self.get_async(ref, deliver, raise_errors=raise_errors))

    def wait(
        self, refs: list[ClientObjectRef[Any]], num_returns: int, timeout: float | None
    ) -> tuple[list[ClientObjectRef[Any]], list[ClientObjectRef[Any]]]:
        by_id = {ref.id: ref for ref in refs}
        deadline_at_s = None if timeout is None else time.monotonic() + timeout
        while True:
            slice_s = settings.MAX_BLOCKING_OPERATION_TIME_S
            if deadline_at_s is not None:
                slice_s = max(min(slice_s, deadline_at_s - time.monotonic()), 0)
            request = pb.WaitRequest(
                object_ids=list(by_id), num_returns=num_returns, timeout=slice_s, client_id=self.client_id
            )
            response = self.connection.call("WaitObject", request)
            if not response.valid:
                raise ValueError("Client Wait request failed. Reference invalid?")
            is_over = deadline_at_s is not None and time.monotonic() >= deadline_at_s
            if is_over or len(response.ready_object_ids) >= num_returns:
                ready = [by_id[key] for key in response.ready_object_ids]
                return ready, [by_id[key] for key in response.remaining_object_ids]

    # ---------------------------------------------------------- tasks and actors

    def export(self, code: Any) -> bytes:
        """Upload a function or class; the id of it. Kept for the whole session."""
        if self.is_original and isinstance(code, type):
            from ray.util.client import to_original

            to_original.tell_methods(code)
        return self._put_pickled(self._dumps(code))

    def schedule(
        self,
        kind: Any,
        name: str,
        payload_id: bytes,
        args: Any,
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
        baseline: Mapping[str, Any],
        count: int,
        namespace: str = "",
    ) -> list[Future[bytes]]:
        """Send a call; futures of the `count` ids that the server will answer.

        Raises:
            Exception: what the pickler raises for arguments that cannot be pickled.
        """
        data = self._dumps((args, dict(kwargs)))
        total = count_chunks(len(data))
        pickled_options = self._dumps(dict(options)) if options else b""
        pickled_baseline = self._dumps(dict(baseline)) if baseline else b""
        if self.is_original and not options:
            pickled_options = pickled_baseline  # it only looks at these
        futures: list[Future[bytes]] = [Future() for _ in range(count)]

        def messages() -> Any:
            for number, piece in split(data):
                task = pb.ClientTask(
                    type=kind,
                    name=name,
                    payload_id=payload_id,
                    client_id=self.client_id,
                    namespace=namespace,
                    data=piece,
                    chunk_id=number,
                    total_chunks=total,
                )
                task.options.pickled_options = pickled_options
                task.baseline_options.pickled_options = pickled_baseline
                yield pb.DataRequest(task=task)

        self.data_client.send(messages, lambda answer: self._ticket(answer, futures))
        return futures

    def _ticket(self, answer: Any, futures: list[Future[bytes]]) -> None:
        if isinstance(answer, BaseException):
            problem: BaseException = answer
        elif not answer.task_ticket.valid:
            problem = cloudpickle.loads(answer.task_ticket.error)
        else:
            ids = list(answer.task_ticket.return_ids)
            for key in ids:
                self.refs_received(key)
            for key, future in zip(ids, futures, strict=False):
                future.set_result(key)
            problem = RuntimeError(f"The server answered {len(ids)} ids to a call with {len(futures)} results.")
            futures = futures[len(ids) :]
        if not futures and isinstance(problem, Exception) and not isinstance(answer, pb.DataResponse):
            log.info("Ray Client: a call without results failed: %s", problem)
        for future in futures:
            future.set_exception(problem)

    def call_method(
        self,
        handle: ClientActorHandle,
        name: str,
        args: Any,
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
        num_returns: Any,
    ) -> Any:
        futures = self.schedule(
            pb.ClientTask.METHOD, name, handle.actor_ref.id, args, kwargs, options, {}, count_of(num_returns)
        )
        return self.refs_of(futures, num_returns)

    def refs_of(self, futures: list[Future[bytes]], num_returns: Any) -> Any:
        """What `.remote()` returns."""
        refs: list[ClientObjectRef[Any]] = [ClientObjectRef(future, worker=self) for future in futures]
        if num_returns == 0:
            return None
        return refs if isinstance(num_returns, int) and num_returns > 1 else refs[0]

    def get_actor(self, name: str, namespace: str | None) -> ClientActorHandle:
        futures = self.schedule(pb.ClientTask.NAMED_ACTOR, name, b"", (), {}, {}, {}, 1, namespace or "")
        ref = ClientActorRef(futures[0], worker=self)
        ref.id  # noqa: B018 - raises what the server raised
        return ClientActorHandle(ref)

    def class_info(self, handle: ClientActorHandle) -> dict[str, MethodInfo]:
        """Methods of an actor of which only the id is known here, as a process of the cluster sees them."""

        def methods_of(handle: Any) -> Any:  # in here, so that it is pickled by value: servers need not know it
            return handle._ray_method_num_returns, handle._ray_method_signatures

        if not hasattr(self, "_class_info_id"):
            self._class_info_id = self.export(methods_of)
        payload_id = self._class_info_id
        options = {"num_cpus": 0}
        futures = self.schedule(pb.ClientTask.FUNCTION, "methods_of", payload_id, (handle,), {}, options, options, 1)
        num_returns, signatures = self.get(ClientObjectRef(futures[0], worker=self))
        return {
            name: MethodInfo.from_parameters(1 if count is None else count, signatures.get(name))
            for name, count in num_returns.items()
        }

    def terminate_actor(self, handle: ClientActorHandle, no_restart: bool) -> None:
        actor = pb.TerminateRequest.ActorTerminate(id=handle.actor_ref.id, no_restart=no_restart)
        self._terminate(pb.TerminateRequest(client_id=self.client_id, actor=actor))

    def terminate_task(self, ref: ClientObjectRef[Any], force: bool, recursive: bool) -> None:
        task = pb.TerminateRequest.TaskObjectTerminate(id=ref.id, force=force, recursive=recursive)
        self._terminate(pb.TerminateRequest(client_id=self.client_id, task_object=task))

    def _terminate(self, request: pb.TerminateRequest) -> None:
        self.connection.call("Terminate", request, changes_state=True)

    # ---------------------------------------------------------- the session and the cluster

    def init_session(self, job_config: Any, init_kwargs: Mapping[str, Any]) -> None:
        """Make the server's session. Raises ConnectionAbortedError with the server's traceback when it cannot."""
        init = pb.InitRequest(
            job_config=cloudpickle.dumps(job_config) if job_config is not None else b"",
            ray_init_kwargs=json.dumps(dict(init_kwargs)),
            reconnect_grace_period=settings.RECONNECT_GRACE_PERIOD,
        )
        response = self.data_client.ask(pb.DataRequest(init=init)).init
        if not response.ok:
            raise ConnectionAbortedError(f"Initialization failure from server:\n{response.msg}")

    def connection_info(self) -> dict[str, Any]:
        info = self.data_client.ask(pb.DataRequest(connection_info=pb.ConnectionInfoRequest())).connection_info
        self.is_original = info.bulk_port == 0
        if info.bulk_port > 0 and self.connection.is_plain and not self.bulk.is_open:
            host = self.connection.conn_str.rsplit("/", 1)[-1].rpartition(":")[0].strip("[]")
            self.bulk.connect_later(host, info.bulk_port)
        return {
            "num_clients": info.num_clients,
            "python_version": info.python_version,
            "ray_version": info.ray_version,
            "ray_commit": info.ray_commit,
        }

    def cluster_info(self, kind: Any) -> Any:
        """A dict, list, bool or message, as the kind has it."""
        response = self.connection.call("ClusterInfo", pb.ClusterInfoRequest(type=kind))
        match response.WhichOneof("response_type"):
            case "resource_table":
                return dict(response.resource_table.table)
            case "runtime_context":
                return response.runtime_context
            case _:
                return json.loads(response.json)

    def dashboard_url(self) -> str | None:
        info: dict[str, str | None] = self.cluster_info(pb.ClusterInfoType.DASHBOARD_URL)
        return info.get("dashboard_url")

    def list_named_actors(self, all_namespaces: bool) -> list[Any]:
        request = pb.ClientListNamedActorsRequest(all_namespaces=all_namespaces)
        actors: list[Any] = json.loads(self.connection.call("ListNamedActors", request).actors_json)
        return actors

    def kv(self, name: str, request: Any, *, changes_state: bool = False) -> Any:
        return self.connection.call(name, request, changes_state=changes_state)


class _Raised(Exception):
    """What the server raised; kept apart from errors of the call itself."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def count_of(num_returns: Any) -> int:
    """How many ids the server answers to a call. "dynamic" is one object."""
    return num_returns if isinstance(num_returns, int) else 1


def ignore_version() -> bool:
    return bool(os.environ.get("RAY_IGNORE_VERSION_MISMATCH"))
