"""A driver, or the server that drives for a client, is stopped for a while and goes on as if nothing had been."""

import socket
import subprocess
import sys
import time

import psutil
import pytest
from gone import wait_gone

import ray
from ray.cluster_utils import Cluster
from ray.util.state import list_jobs

STOPPED_S = 1.5
SETTINGS = {
    "health_check_initial_delay_ms": 200,
    "health_check_period_ms": 200,
    "health_check_timeout_ms": 300,
    "health_check_failure_threshold": 2,
}
"""So that whoever may count as dead by its silence does so while it is stopped."""
COUNT = """
import sys, ray
ray.init(sys.argv[1])

@ray.remote(num_cpus=0.5)
class Counter:
    def __init__(self): self.value = 0
    def add(self):
        self.value += 1
        return self.value

@ray.remote(num_cpus=0.5)
def double(value): return 2 * value

counter = Counter.remote()
for number in range(1, 1_000_000):
    value = ray.put(number)
    assert ray.get([counter.add.remote(), double.remote(value)]) == [number, 2 * number]
    print(number, flush=True)
"""


@pytest.fixture
def cluster():
    cluster = Cluster(initialize_head=True, connect=True, head_node_args={"num_cpus": 2, "_system_config": SETTINGS})
    yield cluster
    processes = psutil.Process().children(recursive=True)
    ray.shutdown()
    cluster.shutdown()
    assert wait_gone(processes, timeout=10) == []


@pytest.fixture
def count():
    """`count(address)` starts a program that prints numbers."""
    programs = []

    def start(address):
        command = [sys.executable, "-c", COUNT, address]
        programs.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return programs[-1]

    yield start
    for program in programs:
        program.kill()
        program.wait()
        program.stdout.close()


def counts_on(program, numbers):
    """It prints so many further numbers; returns the last."""
    for _ in range(numbers):
        line = program.stdout.readline()
        assert line, f"It has ended with status {program.wait()}."
    return int(line)


def stop_for_a_while(processes):
    for process in processes:
        process.suspend()
    time.sleep(STOPPED_S)  # how long they are stopped
    for process in processes:
        process.resume()


def test_a_driver_that_is_stopped_goes_on(cluster, count):
    program = count(cluster.address)
    reached = counts_on(program, 5)
    stop_for_a_while([psutil.Process(program.pid)])
    assert counts_on(program, 200) == reached + 200
    assert [job.status for job in list_jobs()] == ["RUNNING", "RUNNING"]


def test_a_client_whose_server_is_stopped_goes_on(cluster, count):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ray.util.client.server", "--address", cluster.address]
    server = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port), "--mode", "proxy"])
    try:
        while not serves(port):
            time.sleep(0.02)
        program = count(f"ray://127.0.0.1:{port}")
        reached = counts_on(program, 5)
        proxy = psutil.Process(server.pid)
        behind = [each for each in proxy.children(recursive=True) if "ray.util.client.server" in each.cmdline()]
        assert behind, "a driver for this client"
        stop_for_a_while([proxy, *behind])
        assert counts_on(program, 100) == reached + 100
        stop_for_a_while(behind)
        assert counts_on(program, 100) == reached + 200
    finally:
        server.terminate()
        server.wait()


def serves(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
