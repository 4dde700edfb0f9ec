"""A debugger in a task.

Source: Ray docs, "Using the Ray Debugger".
"""

import json
import os
import pty
import socket
import subprocess
import sys
import threading
import time

import pytest

import ray
from ray._core.wire import auth, local_peer
from ray._core.wire.local_peer import is_own_process
from ray.experimental import internal_kv
from ray.util import rpdb

DEADLINE_S = 30


@ray.remote
def stopping(x):
    y = x + 1
    breakpoint()
    return y


@ray.remote
def failing():
    secret = "found"
    raise ValueError(secret)


@pytest.fixture
def session():
    ray.init(num_cpus=1, log_to_driver=False)
    yield
    ray.shutdown()


def _announced():
    """What the one waiting breakpoint says of itself."""
    end_at_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < end_at_s:
        for key in internal_kv._internal_kv_list("RAY_PDB_", namespace="pdb"):
            return json.loads(internal_kv._internal_kv_get(key, namespace="pdb"))
        time.sleep(0.01)
    raise AssertionError("no breakpoint was announced")


def _talk(address, commands):
    """Everything a breakpoint says to these commands, until it ends the session."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), DEADLINE_S) as connection:
        connection.sendall(commands)
        said = b""
        while data := connection.recv(1 << 16):
            said += data
    return said.decode()


def test_a_task_stops_at_a_breakpoint_until_the_debugger_lets_it_go(session):
    ref = stopping.remote(1)
    told = _announced()
    assert told["filename"] == __file__ and told["proctitle"] == "ray::stopping"
    assert told["task_id"] == ref.task_id().hex()
    assert ray.wait([ref], timeout=0.1) == ([], [ref])
    said = _talk(told["pdb_address"], b"p x, y\ny = 100\nc\n")
    assert "(1, 2)" in said and "-> return y" in said
    assert ray.get(ref) == 100
    assert internal_kv._internal_kv_list("RAY_PDB_", namespace="pdb") == []


def test_a_debugger_that_leaves_lets_the_task_go_on(session):
    ref = stopping.remote(1)
    host, port = _announced()["pdb_address"].split(":")
    socket.create_connection((host, int(port))).close()
    assert ray.get(ref, timeout=DEADLINE_S) == 2


def test_quitting_the_debugger_ends_the_task(session):
    ref = stopping.remote(1)
    _talk(_announced()["pdb_address"], b"q\n")
    with pytest.raises(ray.exceptions.RayTaskError, match="BdbQuit"):
        ray.get(ref, timeout=DEADLINE_S)


def test_an_error_can_be_looked_at_where_it_was_raised(monkeypatch):
    monkeypatch.setenv("RAY_DEBUG_POST_MORTEM", "1")
    ray.init(num_cpus=1, log_to_driver=False)
    try:
        ref = failing.remote()
        assert "'found'" in _talk(_announced()["pdb_address"], b"p secret\nc\n")
        with pytest.raises(ValueError, match="found"):
            ray.get(ref, timeout=DEADLINE_S)
    finally:
        ray.shutdown()


def test_the_command_lists_breakpoints_and_attaches_to_one(session):
    ref = stopping.remote(1)
    _announced()
    terminal, theirs = pty.openpty()
    command = [sys.executable, "-m", "ray.scripts.scripts", "debug", "--address", ray.get_runtime_context().gcs_address]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = _converse(terminal, [("refresh:", "0\n"), ("(Pdb) ", "y = 5\n"), ("(Pdb) ", "c\n"), ("refresh:", "q\n")])
    assert process.wait(DEADLINE_S) == 0
    os.close(terminal)
    assert "ray::stopping" in said and f"{__file__}:" in said
    assert ray.get(ref, timeout=DEADLINE_S) == 5


def _converse(terminal, turns):
    """Wait for each prompt in turn and answer it; everything that was said."""
    said, seen = "", 0
    for prompt, answer in turns:
        while prompt not in said[seen:]:
            said += os.read(terminal, 4096).decode()
        seen = said.index(prompt, seen) + len(prompt)
        os.write(terminal, answer.encode())
    return said


# ------------------------------------------------------------------ who may attach


def _pair():
    listening = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listening.getsockname())
    server, _ = listening.accept()
    listening.close()
    return client, server


def test_a_process_of_this_user_is_known_by_the_kernel():
    client, server = _pair()
    with client, server:
        assert is_own_process(server)


def test_a_process_of_another_user_is_not_ours(monkeypatch):
    client, server = _pair()
    monkeypatch.setattr(local_peer, "_owner", lambda *_: 12345)
    with client, server:
        assert not is_own_process(server)


def test_whoever_is_not_known_must_prove_the_token(monkeypatch):
    monkeypatch.setattr(rpdb, "is_own_process", lambda connection: False)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepted = []
        waiting = threading.Thread(target=lambda: accepted.append(rpdb._accept(listening, b"right")))
        waiting.start()
        stranger = socket.create_connection(listening.getsockname())
        with pytest.raises(auth.AuthenticationFailed):
            auth.handshake_blocking(stranger, b"wrong")
        stranger.close()
        friend = socket.create_connection(listening.getsockname())
        auth.handshake_blocking(friend, b"right")
        waiting.join(DEADLINE_S)
        accepted[0].sendall(b"hello")
        assert friend.recv(5) == b"hello"
        friend.close()
        accepted[0].close()
