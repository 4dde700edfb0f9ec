"""Peers of the reactor who are silent, too many, or talk nonsense: each is dropped, and the others are served."""

import os
import resource
import socket
import subprocess
import sys
import threading

import pytest

from ray._core.common.messages import KvGet, KvValue
from ray._core.wire import auth, blocking, codec, sockets
from ray._core.wire.reactor import Reactor

TOKEN = b"secret"


class Echo:
    """Answers KvGet by its key, and keeps why connections closed."""

    def __init__(self):
        self.reasons = []
        self.told = threading.Event()

    def received(self, connection, message, payload):
        connection.reply(message, KvValue(value=message.key))

    def closed(self, connection, reason):
        self.reasons.append(reason)
        self.told.set()


@pytest.fixture
def served():
    """A reactor that listens with a token: its handler, and its port."""
    server, handler = Reactor(), Echo()
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    server.start()
    with server.lock:
        server.listen(listening, handler, TOKEN)
    yield handler, listening.getsockname()[1]
    server.close()
    listening.close()


def ask(port, key):
    sock = blocking.connect_tcp("127.0.0.1", port, TOKEN)
    sock.sendall(codec.encode(KvGet(namespace="", key=key, rid=1)))
    decoder = codec.FrameDecoder()
    while not (found := decoder.feed(sock.recv(4096))):
        pass
    sock.close()
    return found[0][0].value


def is_dropped(sock):
    sock.settimeout(10)
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_peer_that_says_nothing_is_dropped(monkeypatch, served):
    monkeypatch.setattr(sockets, "HANDSHAKE_TIMEOUT_S", 0.05)
    handler, port = served
    silent = socket.create_connection(("127.0.0.1", port))
    assert is_dropped(silent)
    assert handler.told.wait(10)
    assert handler.reasons == ["The peer did not finish the handshake."]
    silent.close()
    monkeypatch.undo()  # a friend on a busy machine may take longer
    assert ask(port, b"after") == b"after"


def test_a_peer_that_stops_in_the_middle_of_the_handshake_is_dropped(monkeypatch, served):
    monkeypatch.setattr(sockets, "HANDSHAKE_TIMEOUT_S", 0.05)
    _, port = served
    half = socket.create_connection(("127.0.0.1", port))
    half.sendall(auth.Handshake(TOKEN, is_server=False).opening)
    assert len(half.recv(4096)) == auth.SERVER_HELLO_SIZE
    assert is_dropped(half)
    half.close()


def test_who_has_proved_the_token_may_be_silent(monkeypatch, served):
    monkeypatch.setattr(sockets, "HANDSHAKE_TIMEOUT_S", 0.05)
    handler, port = served
    quiet = blocking.connect_tcp("127.0.0.1", port, TOKEN)
    stranger = socket.create_connection(("127.0.0.1", port))
    assert is_dropped(stranger)  # later than the other's time
    quiet.sendall(codec.encode(KvGet(namespace="", key=b"k", rid=1)))
    assert quiet.recv(4096)
    assert len(handler.reasons) == 1
    stranger.close()
    quiet.close()


@pytest.mark.parametrize("hello", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"\0", b"\xff" * 1000])
def test_a_stranger_is_dropped_by_its_first_bytes(served, hello):
    _, port = served
    stranger = socket.create_connection(("127.0.0.1", port))
    stranger.sendall(hello)
    assert is_dropped(stranger)
    stranger.close()


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\xff\xff\xff\xff\0\0\0\0", "A frame announces 4294967295"),
        (b"\0\0\0\0\xff\xff\xff\xff", "A frame announces 0"),
        (b"\x05\0\0\0\0\0\0\0\xdd\xff\xff\xff\xff", "no message"),
        (b"\x01\0\0\0\0\0\0\0\x91", "no message"),
    ],
)
def test_bad_bytes_close_the_connection_with_a_reason_and_no_other(served, frame, reason):
    handler, port = served
    bad, good = (blocking.connect_tcp("127.0.0.1", port, TOKEN) for _ in range(2))
    bad.sendall(frame)
    assert is_dropped(bad)
    assert handler.told.wait(10)
    assert [text for text in handler.reasons if reason in text] == handler.reasons
    good.sendall(codec.encode(KvGet(namespace="", key=b"k", rid=1)))
    assert good.recv(4096)
    bad.close()
    good.close()


SHORT_OF_DESCRIPTORS = """
import os, resource, socket, sys, time
from ray._core.common.messages import KvValue
from ray._core.wire.reactor import Reactor

class Echo:
    def received(self, connection, message, payload):
        if message.key == b"cpu":
            connection.reply(message, KvValue(value=str(time.process_time()).encode()))
        else:
            connection.reply(message, KvValue(value=message.key))
    def closed(self, connection, reason):
        pass

server = Reactor()
listening = socket.create_server(("127.0.0.1", 0), backlog=64)
server.start()
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
with server.lock:
    server.listen(listening, Echo(), b"secret")
print(listening.getsockname()[1], flush=True)
sys.stdin.read()
os._exit(0)  # the strangers still end: a thread that logs at the interpreter's end would abort it
"""


@pytest.fixture
def short_of_descriptors():
    """The port of a process that may have 32 descriptors, and serves."""
    process = subprocess.Popen(
        [sys.executable, "-c", SHORT_OF_DESCRIPTORS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ,
    )
    assert process.stdout is not None
    yield int(process.stdout.readline())
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_strangers_who_take_all_descriptors_keep_nobody_out(short_of_descriptors):
    port = short_of_descriptors
    strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
    assert ask(port, b"friend") == b"friend"
    for sock in strangers:
        sock.close()


def test_a_process_without_descriptors_waits_for_some_without_spinning(short_of_descriptors):
    port = short_of_descriptors
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 100
    friends = []
    for _ in range(31):  # more than fit: the last ones wait in the backlog
        friends.append(socket.create_connection(("127.0.0.1", port)))
        friends[-1].settimeout(0.3)
        try:
            auth.handshake_blocking(friends[-1], TOKEN)
        except TimeoutError:
            break
    waiting = friends.pop()

    def cpu_s():
        friends[0].sendall(codec.encode(KvGet(namespace="", key=b"cpu", rid=1)))
        return float(codec.FrameDecoder().feed(friends[0].recv(4096))[0][0].value)

    before = cpu_s()
    with pytest.raises(TimeoutError):
        waiting.recv(1)  # 0.3 s, in which a spinning process works as long
    assert cpu_s() - before < 0.15
    for sock in friends[1:]:
        sock.close()
    waiting.settimeout(10)
    assert len(waiting.recv(4096)) == auth.SERVER_HELLO_SIZE  # taken at last
    for sock in (friends[0], waiting):
        sock.close()
