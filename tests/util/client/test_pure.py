"""The client's state machines: pieces of values, answers kept, references counted, sessions that come back."""

import io
import pickle
from collections import Counter
from typing import Any

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ray.util.multiprocessing.pool as pool_module
from ray.util.client.chunks import Assembly, ChunkError, count_chunks, split
from ray.util.client.client_pickler import dumps_from_client
from ray.util.client.references import ClientRefs, HandedOut
from ray.util.client.response_cache import IN_PROGRESS, NEW, StaleRequestError, StreamCache, ThreadCache
from ray.util.client.server.specific import PortPool, ServerStartError
from ray.util.client.sessions import Sessions, TooManyClients, UnknownClient
from ray.util.multiprocessing.pool import PoolActor, PoolTaskError

# ------------------------------------------------------------------ pieces


@given(st.binary(max_size=200), st.integers(1, 50), st.lists(st.integers(0, 20), max_size=5))
def test_pieces_give_the_value_again_whatever_was_sent_twice(data: bytes, chunk_size: int, restarts: list[int]) -> None:
    total = count_chunks(len(data), chunk_size)
    assembly, whole = Assembly(), None
    for restart in [*restarts, total]:  # each connection sends from the first piece, and is cut after `restart` pieces
        for number, piece in list(split(data, chunk_size))[:restart]:
            if not assembly.is_complete:
                whole = assembly.add(number, total, piece)
    assert whole == data


@given(st.binary(min_size=1, max_size=200), st.integers(1, 50), st.data())
def test_split_can_begin_anywhere(data: bytes, chunk_size: int, draw: st.DataObject) -> None:
    start = draw.draw(st.integers(0, count_chunks(len(data), chunk_size) - 1))
    pieces = list(split(data, chunk_size, start))
    assert [number for number, _ in pieces] == list(range(start, count_chunks(len(data), chunk_size)))
    assert b"".join(piece for _, piece in pieces) == data[start * chunk_size :]


def test_a_missing_piece_is_an_error() -> None:
    assembly = Assembly()
    assert assembly.add(0, 3, b"a") is None
    with pytest.raises(ChunkError, match="Piece 2 of 3 came where piece 1 was expected"):
        assembly.add(2, 3, b"c")
    with pytest.raises(ChunkError, match="cannot be"):
        assembly.add(3, 3, b"d")


# ------------------------------------------------------------------ at most once


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), min_size=10, max_size=40))
def test_a_call_sent_again_is_executed_once(calls: list[tuple[str, bool]]) -> None:
    """Each call is sent until its answer arrives; the flag says that the connection breaks after it was executed."""
    cache: ThreadCache[str] = ThreadCache()
    executed: Counter[tuple[str, int]] = Counter()
    last: dict[str, int] = {}
    for thread, is_cut in calls:
        request = last[thread] = last.get(thread, 0) + 1
        for _ in range(1 + is_cut):
            answer = cache.begin(thread, request)
            if answer is NEW:
                executed[thread, request] += 1
                cache.finish(thread, request, f"{thread}{request}")
            else:
                assert answer == f"{thread}{request}"
    assert set(executed.values()) <= {1}
    assert len(executed) == len(calls)


def test_a_call_under_way_and_a_stale_one_are_told() -> None:
    cache: ThreadCache[str] = ThreadCache()
    assert cache.begin("t", 1) is NEW
    assert cache.begin("t", 1) is IN_PROGRESS
    cache.abandon("t", 1)
    assert cache.begin("t", 1) is NEW
    cache.finish("t", 1, "one")
    assert cache.begin("t", 2) is NEW
    with pytest.raises(StaleRequestError, match="Request 1 of client thread t came after its request 2"):
        cache.begin("t", 1)
    cache.finish("t", 1, "late")  # the thread has moved on
    cache.finish("t", 2, "two")
    assert cache.begin("t", 2) == "two"


@given(st.lists(st.sampled_from(["call", "cut", "acknowledge"]), min_size=15, max_size=60))
def test_a_stream_that_is_cut_executes_each_request_once(events: list[str]) -> None:
    cache: StreamCache[int] = StreamCache()
    executed: Counter[int] = Counter()
    unanswered: list[int] = []
    next_id, answered = 1, 0

    def arrives(request: int) -> None:
        answer = cache.begin(request)
        if answer is NEW:
            executed[request] += 1
            cache.finish(request, request)
        else:
            assert answer == request

    for event in events:
        if event == "call":
            unanswered.append(next_id)
            arrives(next_id)
            next_id += 1
        elif event == "cut":  # no answer came; all without one are sent again
            for request in unanswered:
                arrives(request)
        elif unanswered:
            answered = unanswered.pop(0)
            cache.acknowledge(answered)
    assert all(count == 1 for count in executed.values())
    assert len(executed) == next_id - 1
    assert len(cache) == len(unanswered)
    if answered:
        with pytest.raises(StaleRequestError):
            cache.begin(answered)


# ------------------------------------------------------------------ references


@given(st.lists(st.sampled_from(["hand out", "arrive", "drop", "return"]), min_size=20, max_size=80))
def test_an_object_lives_as_long_as_its_client_may_need_it(events: list[str]) -> None:
    """Messages travel both ways and meet; the server must hold the object while a ref or an answer with it exists."""
    client, server = ClientRefs(), HandedOut[str](counted=True)
    key = b"x"
    to_client, to_server = 0, list[int]()
    for event in events:
        if event == "hand out":
            server.hand_out(key, "value")
            to_client += 1
        elif event == "arrive" and to_client:
            to_client -= 1
            client.received(key)
        elif event == "drop" and client.count(key):
            if times := client.dropped(key):
                to_server.append(times)
        elif event == "return" and to_server:
            for _ in range(to_server.pop(0)):
                server.take_back(key)
        if to_client or client.count(key):
            assert server.get(key) == "value"
    for _ in range(to_client):
        client.received(key)
    while client.count(key):
        if times := client.dropped(key):
            to_server.append(times)
    for _ in range(sum(to_server)):
        server.take_back(key)
    assert len(server) == 0
    assert len(client) == 0


def test_an_original_client_returns_an_id_once() -> None:
    server = HandedOut[str](counted=False)
    server.hand_out(b"x", "value")
    server.hand_out(b"x", "value")
    assert server.take_back(b"x") == "value"
    assert b"x" not in server
    assert server.take_back(b"x") is None


# ------------------------------------------------------------------ sessions


def test_a_client_that_comes_back_in_time_keeps_its_session() -> None:
    sessions = Sessions(most=2)
    stream, is_new = sessions.connect("c", reconnecting=False, grace_s=0)
    assert is_new
    sessions.set_grace("c", 30)
    assert not sessions.stream_ended("c", stream, is_final=False, now_s=100)
    assert sessions.next_expiry_s() == 130
    assert sessions.expire(129) == []
    again, is_new = sessions.connect("c", reconnecting=True, grace_s=0)
    assert not is_new
    assert not sessions.stream_ended("c", stream, is_final=True, now_s=131)  # the old stream's end, noticed late
    assert sessions.expire(1000) == []
    assert sessions.stream_ended("c", again, is_final=True, now_s=132)
    assert "c" not in sessions


def test_a_client_that_stays_away_is_forgotten() -> None:
    sessions = Sessions(most=2)
    stream, _ = sessions.connect("c", reconnecting=False, grace_s=0)
    sessions.set_grace("c", 5)
    sessions.stream_ended("c", stream, is_final=False, now_s=10)
    assert sessions.expire(15) == ["c"]
    with pytest.raises(UnknownClient, match="grace period"):
        sessions.connect("c", reconnecting=True, grace_s=0)


def test_without_grace_a_cut_is_the_end() -> None:
    sessions = Sessions(most=2)
    stream, _ = sessions.connect("c", reconnecting=False, grace_s=0)
    assert sessions.stream_ended("c", stream, is_final=False, now_s=10)


def test_too_many_clients_are_refused() -> None:
    sessions = Sessions(most=1)
    sessions.connect("a", reconnecting=False, grace_s=0)
    with pytest.raises(TooManyClients, match="1 already"):
        sessions.connect("b", reconnecting=False, grace_s=0)


# ------------------------------------------------------------------ ports of servers


def test_ports_of_other_programs_are_passed_by() -> None:
    taken = {23001}
    ports = PortPool(range(23000, 23003), lambda port: port not in taken)
    assert [ports.take(), ports.take()] == [23000, 23002]
    with pytest.raises(ServerStartError, match="No port"):
        ports.take()
    ports.give_back(23000)
    taken.clear()
    assert [ports.take(), ports.take()] == [23001, 23000]


def test_classes_that_an_original_knows_as_something_else_go_to_it_by_value() -> None:
    """There the pool's `PoolActor` is an actor class already, and its errors are in the pool's own module."""
    named: list[str] = []

    class Recording(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            named.append(f"{module}.{name}")
            return super().find_class(module, name)

    try:
        data = dumps_from_client(PoolActor, "client", for_original=True)
        actor_class = Recording(io.BytesIO(data)).load()
    finally:
        cloudpickle.unregister_pickle_by_value(pool_module)
    assert not [name for name in named if "PoolActor" in name or name.startswith(("ray._core", "ray.util.multi"))]
    [error] = actor_class(None, ()).run_batch(int, [(("x",), {})])
    assert isinstance(error, PoolTaskError) and isinstance(error.underlying, ValueError)
