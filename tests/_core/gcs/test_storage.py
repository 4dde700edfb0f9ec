"""The storages behave alike: a commit is all or nothing, and there again when the storage is opened anew."""

import os
import shutil
import socket
import sqlite3
import subprocess
import time

import pytest

from ray._core.gcs.storage import RedisStorage, StorageError, Write, open_storage, redis_url

PASSWORD = "secret of the tests"


@pytest.fixture
def redis_server(tmp_path):
    """A real server with a password; yields its port and a function that restarts it."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--dir", str(tmp_path), "--appendonly", "yes"]
    command += ["--appendfsync", "always", "--requirepass", PASSWORD, "--bind", "127.0.0.1"]
    running = []

    def start():
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        deadline_at_s = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline_at_s, "redis-server does not listen"

    def restart():
        running[-1].kill()
        running[-1].wait()
        start()

    start()
    yield port, restart
    running[-1].kill()
    running[-1].wait()


@pytest.fixture(params=["sqlite", "redis"])
def reopen(request, tmp_path):
    """A function that opens the same storage, each time anew."""
    if request.param == "sqlite":
        return lambda: open_storage(f"sqlite:{tmp_path}/gcs.sqlite")
    port, _ = request.getfixturevalue("redis_server")
    environ = {"RAY_REDIS_ADDRESS": f"127.0.0.1:{port}", "RAY_REDIS_PASSWORD": PASSWORD}
    return lambda: open_storage("redis", "tests", environ)


def test_what_was_committed_is_there_when_it_is_opened_again(reopen):
    storage = reopen()
    storage.commit([Write("a", b"1", b"one"), Write("a", b"2", b"two"), Write("b", b"1", b"other")])
    storage.commit([Write("a", b"2", None), Write("a", b"1", b"uno"), Write("a", b"\0\xff", b"")])
    storage.close()
    again = reopen()
    assert again.load("a") == {b"1": b"uno", b"\0\xff": b""}
    assert again.load("b") == {b"1": b"other"}
    assert again.load("never") == {}
    again.close()


def test_a_commit_that_fails_leaves_nothing(tmp_path):
    storage = open_storage(f"sqlite:{tmp_path}/gcs.sqlite")
    with pytest.raises(StorageError, match="could not write"):
        storage.commit([Write("a", b"1", b"one"), Write("a", b"2", object())])
    assert storage.load("a") == {}
    storage.close()


def test_a_locked_file_is_a_storage_error_and_later_commits_succeed(tmp_path):
    path = f"{tmp_path}/gcs.sqlite"
    storage = open_storage(f"sqlite:{path}")
    storage._db.execute("PRAGMA busy_timeout=10")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="locked"):
        storage.commit([Write("a", b"1", b"one")])
    other.execute("ROLLBACK")
    other.close()
    storage.commit([Write("a", b"1", b"one")])
    assert storage.load("a") == {b"1": b"one"}
    storage.close()


def test_the_file_is_for_its_owner_alone(tmp_path):
    open_storage(f"sqlite:{tmp_path}/gcs.sqlite").close()
    assert os.stat(tmp_path / "gcs.sqlite").st_mode & 0o077 == 0


def test_a_restarted_redis_is_used_again_and_lost_nothing(redis_server):
    port, restart = redis_server
    storage = RedisStorage(f"redis://:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}", "tests")
    storage.commit([Write("a", b"1", b"one")])
    restart()
    for _ in range(2):  # the first attempt may meet the connection of before
        try:
            storage.commit([Write("a", b"2", b"two")])
            break
        except StorageError:
            continue
    assert storage.load("a") == {b"1": b"one", b"2": b"two"}
    storage.close()


def test_a_wrong_password_is_told_without_the_password(redis_server):
    port, _ = redis_server
    with pytest.raises(StorageError, match=f"127.0.0.1:{port}") as caught:
        RedisStorage(f"redis://:wrongpassword@127.0.0.1:{port}", "tests")
    assert "wrongpassword" not in str(caught.value)


def test_urls_are_made_of_the_variables():
    assert redis_url({"RAY_REDIS_ADDRESS": "h:1"}) == "redis://h:1"
    environ = {"RAY_REDIS_ADDRESS": "rediss://h:1", "RAY_REDIS_USERNAME": "u", "RAY_REDIS_PASSWORD": "p@ss"}
    assert redis_url(environ) == "rediss://u:p%40ss@h:1"
    with pytest.raises(ValueError, match="RAY_REDIS_ADDRESS"):
        redis_url({})
    with pytest.raises(ValueError, match="rocksdb"):
        open_storage("rocksdb")
