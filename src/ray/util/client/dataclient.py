"""The client's end of the data stream. Floor: client, shell.

All calls of the program go through one queue, whose order is theirs. Requests without an answer are kept and sent
again, under their ids, after the connection broke; the server executes none of them twice.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import grpc

from ray._private.not_included import absent_names
from ray.core.generated import ray_client_pb2 as pb
from ray.core.generated import ray_client_pb2_grpc as pb_grpc
from ray.util.client.settings import ACKNOWLEDGE_BATCH_SIZE
from ray.util.client.transport import FINAL_CODES

if TYPE_CHECKING:
    from ray.util.client.connection import Connection

log = logging.getLogger(__name__)
Answer = pb.DataResponse | BaseException
Callback = Callable[[Any], bool | None]
"""Gets an answer, or the error that ends the wait for it. True: more answers to this request follow."""
Dropped = tuple[bytes | None, Future[bytes] | None]
"""The id of a ref that ended, or the future of it."""
_LAST_WORD_S = 5.0
_WAKE = object()
"""In the queue: refs were dropped, and no call may come that would tell the server."""


class _Request:
    """A request on its way. `messages` makes its pieces anew each time it is sent."""

    __slots__ = ("callback", "messages", "req_id")

    def __init__(self, req_id: int, messages: Callable[[], Iterable[Any]], callback: Callback | None) -> None:
        self.req_id = req_id
        self.messages = messages
        self.callback = callback


class DataClient:
    """Started by its constructor; one thread receives, and gRPC's thread takes requests from the queue.

    Args:
        ids_to_return: counts refs that the program dropped; the ids that go back to the server.
    """

    def __init__(self, connection: Connection, ids_to_return: Callable[[list[Dropped]], list[bytes]]) -> None:
        self._connection = connection
        self._ids_to_return = ids_to_return
        self._metadata = [*connection.metadata, ("counted", "True")]
        self._lock = threading.Lock()
        self._waiting: OrderedDict[int, _Request] = OrderedDict()
        """Requests without a (last) answer, in their order."""
        self._outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
        """What the present connection sends: requests, single messages, `_WAKE`, None at its end."""
        self._dropped: deque[Dropped] = deque()
        self._next_id = 1
        self._unacknowledged = 0
        self.error: BaseException | None = None
        """Why this no longer works; None while it does."""
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="ray-client-data", daemon=True)
        self._thread.start()

    # ---------------------------------------------------------- sending

    def send(self, messages: Callable[[], Iterable[pb.DataRequest]], callback: Callback | None) -> None:
        """Send a request after all that were sent before.

        Args:
            messages: makes the request's pieces, whose `req_id` is set here; called again if it must be sent again.
            callback: called in the receiving thread with the answer or an exception; None: nobody cares.
        Raises:
            ConnectionError: the connection has ended.
        """
        with self._lock:
            if self.error is not None:
                raise ConnectionError(f"The Ray Client connection has ended: {self.error}") from self.error
            self._release_dropped()
            self._enqueue(messages, callback)

    def send_one(self, message: pb.DataRequest, callback: Callback | None) -> None:
        self.send(lambda: (message,), callback)

    def ask(self, message: pb.DataRequest) -> pb.DataResponse:
        """Send and wait. Raises ConnectionError when the connection ends first."""
        future: Future[pb.DataResponse] = Future()
        self.send_one(message, lambda answer: resolve(future, answer))
        return future.result()

    def ref_dropped(self, known: bytes | None, pending: Future[bytes] | None) -> None:
        """A ref of the program ended. Called by destructors, which run anywhere: both appends here are reentrant."""
        self._dropped.append((known, pending))
        self._outgoing.put(_WAKE)

    def _enqueue(self, messages: Callable[[], Iterable[pb.DataRequest]], callback: Callback | None) -> None:
        """Locked."""
        request = _Request(self._next_id, messages, callback)
        self._next_id += 1
        self._waiting[request.req_id] = request
        self._outgoing.put(request)

    def _release_dropped(self) -> None:
        """Return the ids that nobody needs any more. Locked.

        Behind all requests so far, since they may have dropped refs among their arguments; requests to come cannot.
        """
        dropped = []
        while self._dropped:
            dropped.append(self._dropped.popleft())
        ids = self._ids_to_return(dropped) if dropped else []
        if ids:
            message = pb.DataRequest(release=pb.ReleaseRequest(ids=ids))
            self._enqueue(lambda: (message,), None)

    def _requests(self, outgoing: queue.SimpleQueue[Any]) -> Iterator[pb.DataRequest]:
        """What gRPC sends, from the queue of one connection; ends with None."""
        while (item := outgoing.get()) is not None:
            if item is _WAKE:
                with self._lock:
                    self._release_dropped()
            elif isinstance(item, _Request):
                for message in item.messages():
                    message.req_id = item.req_id
                    yield message
            else:
                yield item

    # ---------------------------------------------------------- receiving

    def _run(self) -> None:
        reconnecting = False
        try:
            while not self._is_closing:
                try:
                    self._receive(reconnecting)
                    if self._is_closing:
                        return
                    reason: Any = "the server closed the data stream."
                except grpc.RpcError as error:
                    if error.code() in FINAL_CODES or (error.code() == grpc.StatusCode.CANCELLED and self._is_closing):
                        raise
                    reason = error.code()
                if self._is_closing:
                    return
                log.info("Ray Client: the connection was cut (%s); connecting again.", reason)
                self._connection.reconnect(reason)
                reconnecting = True
        except BaseException as error:
            self._end(self._connection.connection_error(error))
        else:
            self._end(ConnectionError("The Ray Client was disconnected."))

    def _receive(self, reconnecting: bool) -> None:
        if reconnecting:
            self._start_over()
        outgoing = self._outgoing
        stub = pb_grpc.RayletDataStreamerStub(self._connection.channel)
        metadata = [*self._metadata, ("reconnecting", str(reconnecting))]
        responses = stub.Datapath(self._requests(outgoing), metadata=metadata, wait_for_ready=True)
        try:
            for response in responses:
                self._received(response)
        finally:
            outgoing.put(None)

    def _start_over(self) -> None:
        """A new queue, which begins with all that has no answer."""
        with self._lock:
            self._outgoing = queue.SimpleQueue()
            for request in self._waiting.values():
                self._outgoing.put(request)
            self._release_dropped()

    def _received(self, response: pb.DataResponse) -> None:
        with self._lock:
            request = self._waiting.get(response.req_id)
        if request is None:
            log.debug("Ray Client: an answer to request %s came twice.", response.req_id)
            return
        is_more = False
        if request.callback is not None:
            try:
                is_more = bool(request.callback(response))
            except Exception:
                log.exception("Ray Client: the callback of request %s failed.", response.req_id)
        if is_more:
            return
        with self._lock:
            self._waiting.pop(response.req_id, None)
            self._unacknowledged += 1
            if self._unacknowledged < ACKNOWLEDGE_BATCH_SIZE:
                return
            self._unacknowledged = 0
            oldest = next(iter(self._waiting), self._next_id)
            last = min(oldest - 1, response.req_id)
            self._outgoing.put(pb.DataRequest(req_id=0, acknowledge=pb.AcknowledgeRequest(req_id=last)))

    def _end(self, error: BaseException) -> None:
        with self._lock:
            self.error = error
            waiting, self._waiting = list(self._waiting.values()), OrderedDict()
        for request in waiting:
            if request.callback is not None:
                try:
                    request.callback(error)
                except Exception:
                    log.exception("Ray Client: the callback of request %s failed.", request.req_id)
        self._connection.ended(error)

    # ---------------------------------------------------------- closing

    def close(self) -> None:
        """Tell the server that this client will not come back, and end the stream. Again: nothing."""
        with self._lock:
            if self._is_closing:
                return
            self._is_closing = True
            is_alive = self.error is None
        if is_alive:
            cleanup = pb.DataRequest(req_id=0, connection_cleanup=pb.ConnectionCleanupRequest())
            self._outgoing.put(cleanup)
            self._outgoing.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(_LAST_WORD_S)


def resolve(future: Future[Any], answer: Any) -> None:
    """Give a future its answer, or the exception that it is."""
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "ChunkCollector chunk_put chunk_task",
    )
