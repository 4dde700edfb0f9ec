"""Real Redis servers: one behind Sentinel fails over to its replica, one speaks TLS only."""

import shutil
import socket
import subprocess
import time

import pytest
from certificates import Authority

from ray._core.gcs.storage import StorageError, Write, open_storage

redis = pytest.importorskip("redis")
pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server")
PATIENCE_S = 30


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


@pytest.fixture
def start(tmp_path):
    """`start(port, *arguments)` starts a server in a directory of its own; killed at the end."""
    started = []

    def start(port, *arguments, config=""):
        directory = tmp_path / str(port)
        directory.mkdir()
        command = ["redis-server"]
        if config:
            (directory / "redis.conf").write_text(config)
            command.append(str(directory / "redis.conf"))
        command += ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", "", *arguments]
        started.append(subprocess.Popen(command, stdout=(directory / "log").open("w"), stderr=subprocess.STDOUT))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def wait_until(condition, what):
    deadline_at_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            if condition():
                return
        except (OSError, redis.RedisError):
            pass
        assert time.monotonic() < deadline_at_s, what
        time.sleep(0.02)


def test_writes_go_on_after_a_failover_by_sentinel_and_what_the_replica_had_is_there(start):
    first, second, watcher = free_port(), free_port(), free_port()
    master = start(first, "--requirepass", "secret", "--masterauth", "secret")
    replica_of = ("--replicaof", "127.0.0.1", str(first))
    start(second, *replica_of, "--requirepass", "secret", "--masterauth", "secret", "--repl-diskless-sync-delay", "0")
    wait_until(redis.Redis(port=first, password="secret").ping, "the master")
    replica = redis.Redis(port=second, password="secret")
    wait_until(lambda: replica.info("replication")["master_link_status"] == "up", "the replica")
    lines = [f"sentinel monitor main 127.0.0.1 {first} 1", "sentinel auth-pass main secret"]
    lines += ["sentinel down-after-milliseconds main 300", "sentinel failover-timeout main 3000"]
    start(watcher, "--sentinel", config="\n".join(lines) + "\n")
    sentinel = redis.Redis(port=watcher)
    wait_until(lambda: sentinel.sentinel_slaves("main"), "Sentinel to know the replica")

    environ = {"RAY_REDIS_ADDRESS": f"127.0.0.1:{watcher}", "RAY_REDIS_PASSWORD": "secret"}
    storage = open_storage("redis", "failover", environ)
    storage.commit([Write("t", b"%d" % number, b"before") for number in range(100)])
    wait_until(lambda: replica.hlen("pure-ray:failover:t") == 100, "the replica to have it")
    master.kill()
    master.wait()
    refused = 0
    deadline_at_s = time.monotonic() + PATIENCE_S
    while True:  # as the journal does
        try:
            storage.commit([Write("t", b"100", b"after")])
            break
        except StorageError:
            refused += 1
            assert time.monotonic() < deadline_at_s
            time.sleep(0.05)
    assert refused
    assert storage.load("t") == {b"%d" % number: b"before" for number in range(100)} | {b"100": b"after"}
    storage.close()
    assert replica.info("replication")["role"] == "master"


def test_by_tls_with_certificates_on_both_sides(start, tmp_path, monkeypatch):
    authority, port = Authority(tmp_path), free_port()
    files = authority.variables()
    certificate, key = files["RAY_TLS_SERVER_CERT"], files["RAY_TLS_SERVER_KEY"]
    secured = ("--tls-port", str(port), "--tls-cert-file", certificate, "--tls-key-file", key)
    start(port, *secured, "--tls-ca-cert-file", str(authority.path), "--port", "0")
    wait_until(lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None, "the server")
    ours = {"RAY_REDIS_CA_CERT": str(authority.path), "RAY_REDIS_CLIENT_CERT": certificate, "RAY_REDIS_CLIENT_KEY": key}
    environ = {"RAY_REDIS_ADDRESS": f"rediss://127.0.0.1:{port}"}
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    storage = open_storage("redis", "tls", environ)
    storage.commit([Write("t", b"key", b"value")])
    assert storage.load("t") == {b"key": b"value"}
    storage.close()

    monkeypatch.setenv("RAY_REDIS_CA_CERT", str(Authority(tmp_path, "evil").path))
    with pytest.raises(StorageError, match="certificate verify failed"):
        open_storage("redis", "tls", environ)
    monkeypatch.setenv("RAY_REDIS_CA_CERT", str(authority.path))
    monkeypatch.delenv("RAY_REDIS_CLIENT_CERT")
    monkeypatch.delenv("RAY_REDIS_CLIENT_KEY")
    with pytest.raises(StorageError):
        open_storage("redis", "tls", environ)
    with pytest.raises(StorageError):
        open_storage("redis", "tls", {"RAY_REDIS_ADDRESS": f"127.0.0.1:{port}"})
