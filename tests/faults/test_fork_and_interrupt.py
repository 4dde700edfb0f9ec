"""Ctrl-C in a driver, a driver that forks, and several drivers on one cluster."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from polling import wait_until

import ray
from ray.cluster_utils import Cluster


def driver(code, *arguments):
    """A driver whose standard output is read here."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process):
    said, complained = process.communicate(timeout=60)
    assert process.returncode == 0, complained
    return said


TERMINATED = """
import atexit, ray, time
atexit.register(lambda: print("goodbye", flush=True))
ray.init(num_cpus=1, object_store_memory=100_000_000)
print("ready", flush=True)
time.sleep(60)
"""


def test_sigterm_ends_a_driver_through_its_atexit_handlers():
    process = driver(TERMINATED)
    assert process.stdout.readline() == "ready\n"
    services = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGTERM)
    said, complained = process.communicate(timeout=30)
    assert said == "goodbye\n", complained
    assert process.returncode > 0  # it has left by itself
    assert psutil.wait_procs(services, timeout=15)[1] == []


INTERRUPTED = """
import ray, sys, time
ray.init(num_cpus=2, object_store_memory=100_000_000)
@ray.remote
def slow(): time.sleep(1000)
@ray.remote
def quick(x): return x
ray.get(quick.remote(0))
ref = slow.remote()
for call in (lambda: ray.get(ref), lambda: ray.wait([ref]), lambda: ray.get(ref, timeout=600)):
    try:
        print("waiting", flush=True)
        call()
    except KeyboardInterrupt:
        print("interrupted", ray.get(quick.remote(7)), flush=True)
"""


def test_ctrl_c_interrupts_a_wait_and_the_session_goes_on():
    process = driver(INTERRUPTED)
    for _ in range(3):
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted 7\n"
    ended(process)


STORM = """
import ray, threading, os, signal, time
ray.init(num_cpus=2, object_store_memory=100_000_000)
@ray.remote
def quick(x): return x
ray.get(quick.remote(0))
done = threading.Event()
def storm():
    while not done.wait(0.003):
        os.kill(os.getpid(), signal.SIGINT)
thread = threading.Thread(target=storm); thread.start()
hits = 0
until = time.monotonic() + 3
while time.monotonic() < until:
    try:
        for i in range(50):
            assert ray.get(quick.remote(i), timeout=20) == i
    except KeyboardInterrupt:
        hits += 1
while True:
    try:
        done.set(); thread.join(); time.sleep(0.05); break
    except KeyboardInterrupt:
        pass
assert ray.get([quick.remote(i) for i in range(100)]) == list(range(100))
print(hits)
"""


def test_interrupts_at_any_moment_break_nothing():
    assert int(ended(driver(STORM))) > 20


FORKING = """
import multiprocessing, os, sys, ray
address = ray.init(num_cpus=1, object_store_memory=100_000_000).address_info["address"]
ref = ray.put(1)
@ray.remote
def one(): return 1
def child(queue):
    said = []
    for call in (lambda: ray.get(ref), lambda: one.remote(), lambda: ray.put(2), lambda: ray.nodes()):
        try:
            said.append(repr(call()))
        except ray.exceptions.RaySystemError as error:
            said.append(str(error))
    said.append(ray.is_initialized())
    ray.init(address=address)
    said.append(ray.get(one.remote()))
    ray.shutdown()
    queue.put(said)
context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=child, args=(queue,))
process.start()
said = queue.get(timeout=30)
process.join()
pid = os.fork()
if pid == 0:
    sys.exit(0)  # runs atexit: must not end the parent's cluster
os.waitpid(pid, 0)
assert ray.get(one.remote()) == 1
assert ray.get(ref) == 1
for text in said[:4]:
    assert "was forked from process" in text and str(os.getpid()) in text and "ray.init()" in text, text
assert said[4:] == [False, 1], said
print("fine")
"""


def test_a_fork_of_a_driver_says_what_it_is_and_disturbs_nothing():
    assert ended(driver(FORKING)) == "fine\n"


HOLDING = """
import os, ray, sys, time
context = ray.init(num_cpus=1, object_store_memory=100_000_000)
child = os.fork()
if child == 0:
    time.sleep(1000)
os.write(1, f"{child} {context.address_info['node_id']}\\n".encode())
"""


def test_a_forked_child_that_lives_on_does_not_keep_the_node_alive():
    process = driver(HOLDING)
    child, node_id = process.stdout.readline().split()
    try:
        process.wait(timeout=20)
        assert not Path(f"/dev/shm/ray-{node_id[:16]}.arena").exists()
        assert psutil.Process(int(child)).is_running()
    finally:
        os.kill(int(child), signal.SIGKILL)
        process.communicate()


SHARING = """
import ray, sys, time
ray.init(address=sys.argv[1], namespace=sys.argv[2])
@ray.remote
def spin(path):
    open(path, "w").close()
    while True: time.sleep(0.01)
@ray.remote
def add(a, b): return a + b
@ray.remote
class Counter:
    def up(self): return 1
@ray.remote(num_cpus=0)
def pid(): import os; return os.getpid()
print(ray.get_runtime_context().get_job_id(), ray.get(add.remote(1, 2)), flush=True)
if sys.argv[3:]:
    counter = Counter.options(name="here", num_cpus=0).remote()
    ray.get(counter.up.remote())
    refs = [spin.remote(sys.argv[3])]
    print("spinning", flush=True)
    ray.get(refs)
"""


@pytest.fixture
def cluster():
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_two_drivers_share_a_cluster_and_one_that_is_killed_leaves_nothing(cluster, tmp_path):
    cluster.connect(namespace="mine")

    @ray.remote
    def add(a, b):
        return a + b

    assert ray.get(add.remote(3, 4)) == 7
    raylet = psutil.Process(cluster.head_node.raylet.pid)
    marker = tmp_path / "running"
    other = driver(SHARING, cluster.address, "other", str(marker))
    job, sum_ = other.stdout.readline().split()
    assert sum_ == "3" and job != ray.get_runtime_context().get_job_id()
    assert other.stdout.readline() == "spinning\n"
    wait_until(marker.exists, "its task runs")
    with pytest.raises(ValueError, match="here"):
        ray.get_actor("here")  # another namespace
    ray.get_actor("here", namespace="other")
    assert ray.get(add.remote(5, 6)) == 11  # there is a CPU left
    wait_until(lambda: ray.available_resources().get("CPU") == 1, "one CPU is used")
    other.kill()
    other.communicate()
    wait_until(lambda: ray.available_resources().get("CPU") == 2, "the dead driver's CPU is free again")

    def its_actor_is_gone():
        try:
            ray.get_actor("here", namespace="other")
        except ValueError:
            return True
        return False

    wait_until(its_actor_is_gone, "its actor has ended")
    assert ray.get(add.remote(7, 8)) == 15
    said = ended(driver(SHARING, cluster.address, "third"))
    assert said.split()[1] == "3"
    assert raylet.is_running()
