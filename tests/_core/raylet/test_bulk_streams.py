"""Bulk connections, over socket pairs: what comes is what was there, also while it still comes in on the other side."""

import contextlib
import socket
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from ray._core.common import messages as m
from ray._core.raylet import bulk
from ray._core.wire import aio, codec

SIZE, STEP = 1 << 20, 1 << 14
OFFSET = 4096


def data(seed=0):
    return memoryview(np.random.default_rng(seed).bytes(SIZE + OFFSET))


@pytest.fixture
def giver():
    """`giver(arena, source)`: a connection to a thread that serves `source` out of `arena` by ticket 1."""
    started = []

    def start(arena, source):
        ours, theirs = socket.socketpair()
        thread = threading.Thread(target=bulk.serve, args=(theirs, {1: source}, arena))
        thread.start()
        started.append((ours, thread))
        assert isinstance(bulk._receive_head(ours)[0], m.Done)
        return ours

    yield start
    for sock, thread in started:
        sock.close()
        thread.join(10)
        assert not thread.is_alive()


def taker():
    memory = bytearray(SIZE)
    return SimpleNamespace(memory=memory, target=memoryview(memory), incoming=bulk.Incoming(SIZE, STEP))


def run(function, *args):
    """On a thread; gives a way to wait for it and have its exception raised."""
    outcome = []

    def call():
        try:
            outcome.append(function(*args))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=call)
    thread.start()

    def join():
        thread.join(10)
        assert not thread.is_alive()
        if isinstance(outcome[0], BaseException):
            raise outcome[0]

    return join


def test_two_streams_bring_one_object(giver):
    arena, here = data(), taker()
    source = bulk.Source(OFFSET, SIZE)
    joins = [run(bulk.fetch, giver(arena, source), 1, here.incoming, here.target) for _ in range(2)]
    for join in joins:
        join()
    assert here.incoming.is_whole and here.memory == arena[OFFSET:]


def test_what_still_comes_in_is_passed_on(giver):
    """first -> middle -> last: the last begins before the middle has anything."""
    arena, middle, last = data(), taker(), taker()
    down = run(bulk.fetch, giver(middle.target, bulk.Source(0, SIZE, middle.incoming)), 1, last.incoming, last.target)
    assert not last.incoming.is_whole
    run(bulk.fetch, giver(arena, bulk.Source(OFFSET, SIZE)), 1, middle.incoming, middle.target)()
    down()
    assert last.memory == arena[OFFSET:]


def test_the_rest_comes_from_another_when_the_first_breaks_off(giver):
    arena, here = data(), taker()
    ours, theirs = socket.socketpair()

    def gives_three_parts():
        with contextlib.closing(theirs):
            for _ in range(3):
                request, _ = bulk._receive_head(theirs)
                start = OFFSET + request.start
                theirs.sendall(codec.encode_with_payload(m.Chunk(start=request.start), request.length))
                theirs.sendall(arena[start : start + request.length])
            request, _ = bulk._receive_head(theirs)
            theirs.sendall(codec.encode_with_payload(m.Chunk(start=request.start), request.length))
            theirs.sendall(b"?" * 100)  # and dies in the middle of a part

    breaks = run(gives_three_parts)
    with pytest.raises(ConnectionResetError), ours:
        bulk.fetch(ours, 1, here.incoming, here.target)
    breaks()
    assert here.incoming.has(0, 3 * STEP) and not here.incoming.has(3 * STEP, 1)
    bulk.fetch(giver(arena, bulk.Source(OFFSET, SIZE)), 1, here.incoming, here.target)
    assert here.memory == arena[OFFSET:]


def test_who_waits_for_what_will_not_come_is_told(giver):
    middle, last = taker(), taker()
    join = run(bulk.fetch, giver(middle.target, bulk.Source(0, SIZE, middle.incoming)), 1, last.incoming, last.target)
    middle.incoming.fail()
    with pytest.raises(aio.RequestFailed, match="does not have"):
        join()


def test_a_spilled_object_is_read_from_its_storage(giver):
    content, here = data(), taker()

    def restore(target, start):
        target[:] = content[start : start + target.nbytes]

    source = bulk.SpilledSource(SIZE, restore)
    bulk.fetch(giver(memoryview(b""), source), 1, here.incoming, here.target)
    assert here.incoming.is_whole and here.memory == content[:SIZE]


def test_a_storage_that_fails_is_told(giver):
    def restore(target, start):
        raise OSError("no such file")

    here = taker()
    with pytest.raises(aio.RequestFailed, match="no such file"):
        bulk.fetch(giver(memoryview(b""), bulk.SpilledSource(SIZE, restore)), 1, here.incoming, here.target)


@pytest.mark.parametrize(("start", "length"), [(-1, 10), (0, SIZE + 1), (SIZE, 1), (0, 0)])
def test_nothing_outside_of_the_object_is_given(giver, start, length):
    sock = giver(data(), bulk.Source(OFFSET, SIZE))
    sock.sendall(codec.encode(m.FetchPart(1, start, length)))
    reply, _ = bulk._receive_head(sock)
    assert isinstance(reply, m.Failed) and reply.kind == "lost"


def test_an_unknown_ticket_is_refused(giver):
    here = taker()
    with pytest.raises(aio.RequestFailed):
        bulk.fetch(giver(data(), bulk.Source(OFFSET, SIZE)), 2, here.incoming, here.target)


def test_memory_that_is_being_read_is_given_back_only_afterwards():
    source, freed = bulk.Source(0, SIZE), []
    assert source.begin(0, 10)
    source.close(lambda: freed.append(True))
    assert freed == [] and not source.begin(0, 10)
    source.end()
    assert freed == [True]
    idle = bulk.Source(0, SIZE)
    idle.close(lambda: freed.append(True))
    assert freed == [True, True]
