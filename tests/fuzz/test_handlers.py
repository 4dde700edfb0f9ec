"""Random and damaged messages to every process that listens: none ends, hangs or grows, and the cluster still works.

A second or so for each in CI, from one seed; `make fuzz SECONDS=3600` goes on for longer, from another seed each time.
"""

import os
import random
import socket
import time

import psutil
import pytest
from fuzzing import Source
from gone import wait_gone

import ray
from ray._core.common import messages as m
from ray._core.wire import blocking, codec
from ray._private.auto_init_hook import connected_core

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
LEAST = 500
"""Messages to each process; in CI it is these, and the same each time."""
SEED = int(os.environ.get("FUZZ_SEED", "0" if "FUZZ_SECONDS" in os.environ else "1"))
if not SEED:
    SEED = random.SystemRandom().randrange(1, 2**32)
BURST = 50
GROWTH_MIB = 64 + SECONDS
"""What a process may keep of what it was told: tables of the GCS, say, hold what nobody takes back."""


@ray.remote(num_cpus=0)
class Victim:
    """An actor whose process is fuzzed."""

    def where(self):
        core = connected_core()
        return core.address.path, core.address.host, core.address.port, os.getpid()

    def ping(self):
        return "pong"


@pytest.fixture(scope="module")
def cluster():
    """A node with an actor; what it listens on, by name: how to connect, and the pid."""
    ray.init(num_cpus=1, object_store_memory=128 << 20, log_to_driver=False, logging_level="ERROR")
    core, victim = connected_core(), Victim.remote()
    path, host, port, pid = ray.get(victim.where.remote(), timeout=30)
    processes = psutil.Process().children(recursive=True)

    def pid_of(name):
        return next(each.pid for each in processes if name in each.cmdline())

    gcs_host, _, gcs_port = core.gcs_address.rpartition(":")
    node, token = core.node, core.token
    targets = {
        "gcs": (lambda: blocking.connect_tcp(gcs_host, int(gcs_port), token), pid_of("ray._core.gcs.server")),
        "raylet": (lambda: blocking.connect_unix(node.raylet_path), pid_of("ray._core.raylet.main")),
        "worker by TCP": (lambda: blocking.connect_tcp(host, port, token), pid),
        "worker": (lambda: blocking.connect_unix(path), pid),
        "driver": (lambda: blocking.connect_unix(core.path), os.getpid()),
    }
    yield targets, victim
    ray.shutdown()
    assert wait_gone(processes, timeout=10) == []


CORES = ("driver", "worker")
ROLES = {
    "gcs": (*CORES, "raylet", "agent", "cli"),
    "raylet": (*CORES, "runtime_env_agent"),
    "worker by TCP": CORES,
    "worker": CORES,
    "driver": CORES,
}
"""Whoever says no Hello, or another one, has nothing handled."""


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("name", ["gcs", "raylet", "worker by TCP", "worker", "driver"])
def test_a_process_bears_any_message(cluster, name, capsys):
    targets, victim = cluster
    connect, pid = targets[name]
    source = Source(SEED)
    before_mib = psutil.Process(pid).memory_info().rss >> 20
    sent, ends_at_s = 0, time.monotonic() + SECONDS
    while sent < LEAST or time.monotonic() < ends_at_s:
        with connect() as sock:
            talk(sock, source, ROLES[name])
            sent += BURST
    with capsys.disabled():
        print(f" [{name}: {sent} messages, seed {SEED}]", end="")
    assert psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    assert (psutil.Process(pid).memory_info().rss >> 20) - before_mib < GROWTH_MIB
    assert ray.get(victim.ping.remote(), timeout=20) == "pong"
    # Without a CPU: orders to reserve some for a placement group are obeyed, whoever holds the token.
    assert ray.get(ray.remote(lambda: "works").options(num_cpus=0).remote(), timeout=20) == "works"


def talk(sock, source, roles):
    """Say Hello as one of `roles` and send some messages; the peer may close at any time, but it must read."""
    sock.settimeout(10)
    hello = m.Hello(m.PROTOCOL, source.random.choice(roles), worker_id=source.random.randbytes(28))
    sock.sendall(codec.encode(hello))
    frames = [source.frame() for _ in range(BURST)]  # all are drawn, whenever the peer closes
    frames = [source.damaged(frame) if number % 20 == 19 else frame for number, frame in enumerate(frames)]
    for number, frame in enumerate(frames):
        try:
            sock.sendall(frame)
        except TimeoutError:
            raise AssertionError(f"The peer does not read any more (seed {SEED}, message {number}).") from None
        except OSError:
            return


def test_what_no_memory_could_hold_is_not_waited_for(cluster):
    """A frame that announces more than the limit closes the connection at once; one below it takes what has come."""
    targets, _ = cluster
    for name, (connect, pid) in targets.items():
        before_mib = psutil.Process(pid).memory_info().rss >> 20
        with connect() as sock:
            sock.sendall((2**30 + 1).to_bytes(4, "little") + bytes(4))
            sock.settimeout(10)
            assert drained(sock), name
        with connect() as sock:
            sock.sendall((2**30).to_bytes(4, "little") + bytes(4) + b"x" * 1000)
        assert (psutil.Process(pid).memory_info().rss >> 20) - before_mib < 16, name


def drained(sock: socket.socket) -> bool:
    """Whether the peer closes, after whatever it may send before."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


def test_the_seed_repeats_the_messages():
    one, another = Source(7), Source(7)
    assert [one.frame() for _ in range(50)] == [another.frame() for _ in range(50)]
