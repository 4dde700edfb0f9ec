"""A cluster whose nodes speak TLS: everything works, and who speaks plainly or has another authority gets nowhere."""

import os
import re
import socket
import ssl
import subprocess
import sys

import pytest
from certificates import Authority

import ray

MIB = 1024 * 1024


@pytest.fixture
def secured(tmp_path, monkeypatch, start_cluster):
    """A cluster of two nodes by certificates of an authority: both."""
    authority = Authority(tmp_path)
    for name, value in authority.variables().items():
        monkeypatch.setenv(name, value)
    nodes = start_cluster(num_cpus=1)
    nodes.add(num_cpus=1, resources={"far": 1})
    return nodes, authority


def connect(address, variables):
    """What a driver with these variables prints."""
    env = {name: value for name, value in os.environ.items() if "TLS" not in name}
    code = f"import ray; ray.init(address={address!r}, logging_level='ERROR'); print(ray.get(ray.put('inside')))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**env, **variables}, capture_output=True, text=True, timeout=30
    )
    return done.stdout + done.stderr


def test_tasks_actors_and_objects_cross_nodes_and_strangers_do_not_come_in(secured, tmp_path):
    nodes, authority = secured
    far = {"resources": {"far": 0.1}}

    @ray.remote(**far, num_cpus=0)
    def ask(blob):
        return len(blob), ray.get(ray.put(bytes(3 * MIB))), b"small"

    @ray.remote(**far, num_cpus=0)
    class Counter:
        def __init__(self):
            self.number = 0

        def add(self, blob):
            self.number += len(blob)
            return self.number

    blob = os.urandom(10 * MIB)
    ref = ray.put(blob)
    assert ray.get(ask.remote(ref), timeout=30) == (10 * MIB, bytes(3 * MIB), b"small")
    counter = Counter.remote()
    assert ray.get([counter.add.remote(ref) for _ in range(50)], timeout=30)[-1] == 500 * MIB
    assert ray.get([counter.add.remote(b"1" * 90_000) for _ in range(200)], timeout=30)[-1] == 500 * MIB + 18_000_000

    address = nodes.cluster.address
    assert connect(address, authority.variables()).strip() == "inside"
    assert "set RAY_USE_TLS=1" in connect(address, {})
    evil = Authority(tmp_path, "evil")
    assert "certificate is not right: self-signed" in connect(address, evil.variables())
    assert re.search("not trust (our|this process.s) certificate", connect(address, evil.variables(trusting=authority)))


def test_every_port_between_processes_wants_a_certificate(secured, tmp_path):
    """Whatever the cluster listens on beyond this machine's Unix sockets, but the HTTP ports."""
    nodes, authority = secured
    context = ssl.create_default_context(cafile=str(authority.path))  # trusts them, and has none of its own
    ports = {int(nodes.cluster.address.rpartition(":")[2])}
    ports |= {node["NodeManagerPort"] for node in ray.nodes()}

    @ray.remote
    def own_port():
        from ray._private.auto_init_hook import connected_core

        return connected_core().address.port

    ports.add(ray.get(own_port.remote()))
    assert len(ports) == 4
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert is_refused(plain)
        with (
            socket.create_connection(("127.0.0.1", port), 10) as sock,
            context.wrap_socket(sock, server_hostname="127.0.0.1") as bare,
        ):
            assert is_refused(bare)


def is_refused(sock):
    try:
        return sock.recv(1000)[:1] in (b"", b"\x15")  # an alert
    except (ConnectionResetError, ssl.SSLError):
        return True
