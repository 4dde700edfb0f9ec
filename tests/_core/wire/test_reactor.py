"""The reactor: one thread waits and works, several share the leadership, lost peers fail open requests."""

import contextlib
import logging
import socket
import threading

import pytest
from polling import wait_until

from ray._core.common.messages import Failed, KvGet, KvValue
from ray._core.wire import codec
from ray._core.wire.reactor import Reactor, Waiter


class Server:
    def received(self, connection, message, payload):
        connection.reply(message, KvValue(value=message.key))

    def closed(self, connection, reason):
        pass


@pytest.fixture
def pair():
    """Two reactors joined by a socket pair: the client's connection, and both reactors."""
    client, server = Reactor(), Reactor()
    client.start()
    server.start()
    a, b = socket.socketpair()
    with server.lock:
        server.add(b, Server(), None, is_server=True)
    with client.lock:
        connection = client.add(a, Server(), None, is_server=False)
    yield client, connection, server
    client.close()
    server.close()


def call(reactor, connection, key):
    waiter, replies = Waiter(reactor), []

    def on_reply(reply):
        replies.append(reply)
        waiter.finish()

    with reactor.lock:
        connection.request(KvGet(namespace="", key=key), on_reply)
    assert reactor.wait(waiter, 10)
    return replies[0]


def test_a_waiting_thread_gets_its_reply(pair):
    client, connection, _ = pair
    for number in range(200):
        assert call(client, connection, b"%d" % number).value == b"%d" % number


def test_threads_that_wait_at_once_all_get_their_own_replies(pair):
    client, connection, _ = pair
    wrong = []

    def work(name):
        for number in range(200):
            key = b"%d-%d" % (name, number)
            if call(client, connection, key).value != key:
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def test_a_wait_ends_at_its_timeout(pair):
    client, _, _ = pair
    assert not client.wait(Waiter(client), 0.01)


def test_a_waiter_finished_by_another_thread_wakes_the_leader(pair):
    client, _, _ = pair
    waiter = Waiter(client)

    def finish():
        with client.lock:
            waiter.finish()

    timer = threading.Timer(0.05, finish)
    timer.start()
    assert client.wait(waiter, 10)
    timer.join()


def test_timers_run_while_nobody_waits(pair):
    client, _, _ = pair
    fired = threading.Event()
    client.call_soon(fired.set)
    assert fired.wait(10)


def test_a_lost_peer_fails_the_open_requests(pair):
    client, connection, server = pair
    server.close()
    reply = call(client, connection, b"late")
    assert isinstance(reply, Failed)
    assert reply.kind == "connection_lost"


def test_log_records_hold_no_errors_whose_frames_would_keep_what_a_waiting_thread_refers_to(pair, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("ray"), "propagate", True)  # a session of before may have changed it
    client, connection, _ = pair
    connection.sock.sendall(b"\xff" * 64)  # the server cuts this off
    assert call(client, connection, b"late").kind == "connection_lost"
    wait_until(lambda: "closed: " in caplog.text)
    assert not any(isinstance(each, BaseException) for record in caplog.records for each in record.args)


def test_what_a_process_said_before_its_end_is_heard_although_it_takes_nothing_any_more():
    class Listener:
        def __init__(self):
            self.story = []

        def received(self, connection, message, payload):
            self.story.append(message.key)

        def closed(self, connection, reason):
            self.story.append("closed")
            over.finish()

    reactor, listener = Reactor(), Listener()
    over, (here, there) = Waiter(reactor), socket.socketpair()
    with reactor.lock:  # nobody leads yet
        connection = reactor.add(here, listener, None, is_server=True)
        for number in range(100):
            there.sendall(codec.encode(KvGet(namespace="", key=b"%d" % number)))
        there.close()
        connection.send(KvValue(value=b"nobody takes this"))
        reactor.flush()
    reactor.start()
    try:
        assert reactor.wait(over, 5)
    finally:
        reactor.close()
    assert listener.story == [*(b"%d" % number for number in range(100)), "closed"]


def tcp_pair():
    listening = socket.create_server(("127.0.0.1", 0))
    with listening:
        here = socket.create_connection(listening.getsockname())
        return here, listening.accept()[0]


@pytest.mark.parametrize(
    ("sockets", "leaves_unread", "heard_all"),
    [
        (tcp_pair, False, True),
        (tcp_pair, True, False),
        (socket.socketpair, False, True),
        (socket.socketpair, True, True),
    ],
)
def test_a_reset_of_tcp_may_have_swallowed_what_the_peer_had_said(sockets, leaves_unread, heard_all):
    """A socket that is closed with unread bytes resets its connection; one of this machine keeps what was sent."""

    class Listener:
        def received(self, connection, message, payload): ...

        def closed(self, connection, reason):
            over.finish()

    reactor = Reactor()
    over, (here, there) = Waiter(reactor), sockets()
    token = b"token" if sockets is tcp_pair else None
    with reactor.lock:
        connection = reactor.add(here, Listener(), token, is_server=False)
        connection._state = "open"  # as after the handshake
        if leaves_unread:
            connection.send(KvValue(value=b"nobody reads this"))
            reactor.flush()
        there.close()
    reactor.start()
    try:
        assert reactor.wait(over, 5)
    finally:
        reactor.close()
    assert connection.heard_all is heard_all


def test_what_is_sent_while_the_follower_sleeps_in_poll_leaves_without_a_wait(pair):
    client, connection, _ = pair
    follower_leads, answered = threading.Event(), threading.Event()
    client.on_takeover = follower_leads.set
    client.wait(Waiter(client), 0.001)  # this thread leads for a moment, and the follower takes over from it
    assert follower_leads.wait(10)
    for _ in range(20):
        answered.clear()
        with client.lock:
            connection.request(KvGet(namespace="", key=b"k"), lambda reply: answered.set())
            client.soon_flushed()
        assert answered.wait(10)


class Noted:
    """A handler that keeps what it is told."""

    def __init__(self):
        self.lost = []
        self.told = threading.Event()

    def received(self, connection, message, payload):
        pass

    def closed(self, connection, reason):
        self.lost.append(connection)
        self.told.set()


def test_an_address_without_a_route_is_told_as_a_lost_connection(pair):
    client, _, _ = pair
    handler = Noted()
    with client.lock:
        connection = client.connect_tcp("255.255.255.255", 9, handler, b"")  # refused before anything is sent
    assert handler.told.wait(10)
    assert handler.lost == [connection]


def test_all_hear_of_a_lost_peer_though_one_of_them_fails():
    client = Reactor()
    ours, theirs = socket.socketpair()
    handler, replies = Noted(), []

    def fails(reply):
        raise KeyError("not found")

    with client.lock:
        connection = client.add(ours, handler, None, is_server=False)
        connection.request(KvGet(namespace="", key=b"1"), fails)
        connection.request(KvGet(namespace="", key=b"2"), replies.append)
    theirs.close()
    client.wait(Waiter(client), 0.05)
    assert [reply.kind for reply in replies] == ["connection_lost"]
    assert handler.lost == [connection]
    client.close()


def test_an_event_of_a_closed_connection_is_not_taken_for_one_of_its_successor(monkeypatch):
    """The next socket may get the number of one that is closed while events of that are still to be handled."""
    reactor, read = Reactor(), []
    pairs = [socket.socketpair() for _ in range(2)]
    connections = []

    class Closer(Noted):
        def received(self, connection, message, payload):
            other = connections[1 - connections.index(connection)]
            other.close()
            ours, theirs = socket.socketpair()
            pairs.append((ours, theirs))
            assert other.fd in (ours.fileno(), theirs.fileno())
            mine = ours if ours.fileno() == other.fd else theirs
            monkeypatch.setattr(type(connection), "_readable", lambda self: read.append(self))
            reactor.add(mine, Noted(), None, is_server=False)

    with reactor.lock:
        connections += [reactor.add(ours, Closer(), None, is_server=False) for ours, _ in pairs]
    for _, theirs in pairs:
        theirs.send(codec.encode(KvGet(namespace="", key=b"k")))
    reactor._step(0)
    assert read == []
    monkeypatch.undo()
    reactor.close()
    for each in pairs:
        for sock in each:
            sock.close()


class Interleaved(Reactor):
    """Has something happen when a thread is about to park, which a thread of its own would do at that moment."""

    between = staticmethod(lambda reactor, waiter: None)

    def _park(self, gate, remaining_s):
        self.between(self, self._parked[-1])
        super()._park(gate, remaining_s)


def finish_and_abdicate(reactor, waiter):
    with reactor.lock:
        waiter.finish()
    reactor._abdicate()


def promote_and_interrupt(reactor, waiter):
    reactor._abdicate()
    raise KeyboardInterrupt


def interrupt(reactor, waiter):
    raise KeyboardInterrupt


@pytest.mark.parametrize("between", [finish_and_abdicate, promote_and_interrupt, interrupt])
def test_somebody_leads_after_an_heir_that_does_not(between):
    """A thread that was promoted, but is done or interrupted, must not leave the sockets to nobody."""
    reactor = Interleaved()
    reactor.between = between
    reactor._leader = object()  # another thread
    with contextlib.suppress(KeyboardInterrupt):
        reactor.wait(Waiter(reactor))
    if between is interrupt:
        reactor._abdicate()  # the other thread, afterwards
    assert reactor._leader is None
    assert reactor._parked == []
    assert reactor._follower_gate.is_set()
    reactor.close()
