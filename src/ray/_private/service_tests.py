"""Helpers of tests that need certificates, or a Redis server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any

from ray._common.test_utils import wait_for_condition
from ray._core.node.node_names import ProcessInfo

_TLS = ("RAY_USE_TLS", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")


def setup_tls() -> tuple[str, str, str]:
    """Make a certificate, and have what this process starts from now on use TLS with it.

    Returns:
        Paths of the key, of the certificate, and of the directory that holds both.
    """
    from ray._common.tls_utils import generate_self_signed_tls_certs

    certificate, key = generate_self_signed_tls_certs()
    directory = tempfile.mkdtemp("ray-test-certs")
    certificate_path, key_path = (os.path.join(directory, name) for name in ("server.crt", "server.key"))
    for path, text in ((certificate_path, certificate), (key_path, key)):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(text)
    os.environ.update(zip(_TLS, ("1", certificate_path, key_path, certificate_path), strict=True))
    return key_path, certificate_path, directory


def teardown_tls(key_filepath: str, cert_filepath: str, temp_dir: str) -> None:
    """Undo `setup_tls`."""
    for path in (key_filepath, cert_filepath):
        os.remove(path)
    os.removedirs(temp_dir)
    for name in _TLS:
        os.environ.pop(name, None)


def start_redis_instance(
    session_dir_path: str,
    port: int,
    redis_max_clients: int | None = None,
    num_retries: int = 20,
    stdout_file: Any = None,
    stderr_file: Any = None,
    password: str | None = None,
    fate_share: bool | None = None,
    port_denylist: Sequence[int] | None = None,
    listen_to_localhost_only: bool = False,
    enable_tls: bool = False,
    replica_of: int | None = None,
    leader_id: str | None = None,
    db_dir: str | None = None,
    free_port: int = 0,
) -> tuple[None, ProcessInfo]:
    """A Redis server, once it answers, from the `redis-server` on the path. Its caller ends it.

    Returns:
        The id in a cluster of Redis servers, which it is no part of, and its process.
    Raises:
        FileNotFoundError: there is no `redis-server`.
        NotImplementedError: for TLS, or a replica.
        RuntimeError: it does not answer in time.
    """
    if enable_tls or replica_of is not None or leader_id is not None:
        raise NotImplementedError("start_redis_instance starts one server alone, without TLS.")
    program = shutil.which("redis-server")
    if program is None:
        raise FileNotFoundError("There is no redis-server on the path; install it, as by `apt-get install redis`.")
    command = [program, "--port", str(port), "--save", "", "--loglevel", "warning"]
    command += ["--dir", db_dir or session_dir_path]
    if db_dir is not None:
        command += ["--appendonly", "yes"]
    if redis_max_clients is not None:
        command += ["--maxclients", str(redis_max_clients)]
    if password:
        command += ["--requirepass", password]
    if listen_to_localhost_only:
        command += ["--bind", "127.0.0.1"]
    elif not password:
        command += ["--protected-mode", "no"]
    process = subprocess.Popen(command, stdout=stdout_file, stderr=stderr_file, stdin=subprocess.DEVNULL)

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"redis-server on port {port} ended with status {process.returncode}.")
        with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
            sock.sendall(b"PING\r\n")
            return sock.recv(64).startswith((b"+PONG", b"-NOAUTH"))

    try:
        wait_for_condition(answers, timeout=num_retries)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return None, ProcessInfo(process)


def get_redis_cli(port: int | str, enable_tls: bool) -> Any:
    """A client of the Redis server on this machine. Needs the package `redis`."""
    import redis

    return redis.Redis("localhost", int(port), ssl=enable_tls, ssl_cert_reqs="none" if enable_tls else "required")
