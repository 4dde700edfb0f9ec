"""The network between machines is cut: the lost node is dead for the others, its actors go on elsewhere, and never in
two places at once."""

import json
import os
import signal
import sys
import time

import pytest

from .conftest import wait_until
from .machines import needs_namespaces, network

__all__ = ["network"]
pytestmark = needs_namespaces
SMALL = ("--num-cpus=1", "--object-store-memory=100000000")
HEALTH = {
    "health_check_initial_delay_ms": 200,
    "health_check_period_ms": 600,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 3,
}
"""A node is dead after 2.7 s of silence, and ends itself after 2.1 s."""
BEGIN = """
import os, sys, time, ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On
ray.init(address="auto", namespace="n", logging_level="ERROR", log_to_driver=False)
def say(*words): print(*words, flush=True)
"""
MASTER = (
    BEGIN
    + """
@ray.remote(num_cpus=0.1, max_restarts=-1, max_task_retries=-1)
class Counter:
    def __init__(self): self.calls = 0
    def where(self):
        self.calls += 1
        return ray.util.get_node_ip_address(), os.getpid(), self.calls
node = next(n["NodeID"] for n in ray.nodes() if n["NodeManagerAddress"] == sys.argv[1])
counter = Counter.options(name="c", lifetime="detached", scheduling_strategy=On(node, soft=True)).remote()
say(*ray.get(counter.where.remote()))
for line in sys.stdin:
    if line == "nodes\\n":
        say(sorted(n["NodeManagerAddress"] for n in ray.nodes() if n["Alive"]))
    else:
        say(*ray.get(counter.where.remote(), timeout=30))
"""
)
WITNESS = (
    BEGIN
    + """
counter = ray.get_actor("c")
while True:
    asked = time.time()
    ip, pid, _ = ray.get(counter.where.remote())
    say(asked, time.time(), ip, pid)
    time.sleep(0.02)
"""
)


def ask(process, line):
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline().split()


@pytest.fixture
def cluster(network):
    """Two machines of one cluster: the head's and another."""
    head, other = network.machine(), network.machine()
    head.ray("start", "--head", f"--node-ip-address={head.ip}", *SMALL, "--system-config", json.dumps(HEALTH))
    other.ray("start", "--address", f"{head.ip}:6379", *SMALL, "--temp-dir", f"{other.temp}/ray")
    return head, other


def test_an_actor_never_answers_from_both_sides_of_a_cut(cluster):
    head, other = cluster
    master = head.start(sys.executable, "-c", MASTER, other.ip)
    first = master.stdout.readline().split()
    assert first[0] == other.ip
    other.cut()
    time.sleep(0.3)  # the length of a cut that changes nothing
    other.heal()
    assert ask(master, "where")[:2] == first[:2]

    witness = other.start(sys.executable, "-c", WITNESS)  # beside the actor: it needs no network to be answered
    assert witness.stdout.readline().split()[2] == other.ip

    other.cut()
    ip, _, calls = ask(master, "where")  # waits until the actor is there again
    elsewhere_at = time.time()
    assert (ip, calls) == (head.ip, "1")
    assert ask(master, "nodes") == [f"['{head.ip}']"]
    assert other.processes() == []
    witness.kill()
    said = [line.split() for line in witness.communicate()[0].splitlines()]
    assert said
    assert {ip for _, _, ip, _ in said} == {other.ip}
    assert max(float(answered) for _, answered, _, _ in said) < elsewhere_at

    other.heal()
    assert [ask(master, "where")[0] for _ in range(20)] == [head.ip] * 20
    master.communicate(timeout=20)


def test_a_node_that_was_stopped_and_given_up_ends_when_it_goes_on(cluster):
    """As after a pause of its virtual machine: nothing was closed, and everybody else has gone on without it."""
    head, other = cluster
    master = head.start(sys.executable, "-c", MASTER, other.ip)
    assert master.stdout.readline().split()[0] == other.ip
    stopped = [each.pid for each in other.processes()]
    signal_all(stopped, signal.SIGSTOP)
    assert ask(master, "where")[0] == head.ip
    signal_all(stopped, signal.SIGCONT)
    wait_until(lambda: not other.processes(), "the end of what was stopped")
    assert [ask(master, "where")[0] for _ in range(20)] == [head.ip] * 20
    master.communicate(timeout=20)


def signal_all(pids, signum):
    for pid in pids:
        os.kill(pid, signum)
