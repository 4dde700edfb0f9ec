"""Each kind of process is stopped for a while, or killed, while tasks and actor calls run: all results come, and right.

The driver and the GCS have tests of their own beside this one.
"""

import os
import signal
import threading
import time

import psutil
import pytest
from gone import wait_gone

import ray
from ray.cluster_utils import Cluster

PAUSE_S = 0.5
PATIENCE_S = 60
MIB = 1024 * 1024


class Load(threading.Thread):
    """Tasks, large objects and actor calls on all nodes, checked as they come, until `stop`."""

    def __init__(self):
        super().__init__(name="load")
        self._over, self._works, self._rests = threading.Event(), threading.Event(), threading.Event()
        self.rounds, self.problem = 0, None

        @ray.remote(num_cpus=0.5, max_retries=-1, scheduling_strategy="SPREAD")
        def make(number):
            return bytes([number % 256]) * MIB

        @ray.remote(num_cpus=0.5, max_retries=-1, scheduling_strategy="SPREAD")
        def measure(*blobs):
            return sum(blob[0] for blob in blobs), sum(map(len, blobs))

        @ray.remote(num_cpus=0.1, max_restarts=-1, max_task_retries=-1)
        class Echo:
            def say(self, word):
                return word

        self._make, self._measure = make, measure
        self._echoes = [Echo.options(scheduling_strategy="SPREAD").remote() for _ in range(2)]

    def run(self):
        try:
            while not self._over.is_set():
                if not self._works.is_set():
                    self._rests.set()
                    self._works.wait()
                    self._rests.clear()
                else:
                    self._round()
        except Exception as error:  # told by `goes_on`
            self.problem = error
            self._rests.set()

    def _round(self):
        numbers = range(self.rounds, self.rounds + 4)
        said = [echo.say.remote(number) for echo in self._echoes for number in numbers]
        measured = self._measure.remote(*[self._make.remote(number) for number in numbers])
        expected = (sum(number % 256 for number in numbers), 4 * MIB)
        assert ray.get(measured, timeout=PATIENCE_S) == expected
        assert ray.get(said, timeout=PATIENCE_S) == [*numbers, *numbers]
        self.rounds += 1

    def work(self):
        self._works.set()

    def rest(self):
        """Between tests nothing runs: they must leave no object behind."""
        self._works.clear()
        assert self._rests.wait(PATIENCE_S)

    def goes_on(self):
        """Wait until two more rounds are done; raises what went wrong."""
        goal, deadline_at_s = self.rounds + 2, time.monotonic() + PATIENCE_S
        while self.rounds < goal and self.problem is None:
            assert time.monotonic() < deadline_at_s, f"The load has not gone on for {PATIENCE_S} s."
            time.sleep(0.01)
        if self.problem is not None:
            raise self.problem

    def stop(self):
        self._over.set()
        self._works.set()
        self.join(PATIENCE_S)


class Nodes:
    """A head and another node of one cluster, both under load."""

    def __init__(self):
        small = {"num_cpus": 1, "object_store_memory": 128 * MIB}
        self._small = small
        self.cluster = Cluster(initialize_head=True, connect=True, head_node_args=small)
        self.other = self.cluster.add_node(**small)
        self.load = Load()
        self.load.start()
        wait_there(self, "agent")

    def find(self, kind, node=None):
        """A living process of this kind, of the node that is not the head unless told otherwise."""
        raylet = psutil.Process((node or self.other).raylet.pid)
        below = raylet.children(recursive=True)
        named = {
            "raylet": lambda: raylet,
            "gcs_server": lambda: psutil.Process(self.cluster.head_node.gcs.pid),
            "zygote": lambda: next(each for each in below if each.ppid() == raylet.pid),
            "agent": lambda: next(each for each in below if title(each) == "ray::Agent"),
            "worker": lambda: next(
                each for each in below if title(each).startswith("ray::") and title(each) != "ray::Agent"
            ),
        }
        return named[kind]()

    def add(self):
        self.other = self.cluster.add_node(**self._small)


def title(process):
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""


@pytest.fixture(scope="module")
def both():
    nodes = Nodes()
    yield nodes
    nodes.load.stop()
    processes = psutil.Process().children(recursive=True)
    ray.shutdown()
    nodes.cluster.shutdown()
    assert wait_gone(processes, timeout=10) == []


@pytest.fixture
def nodes(both):
    """Under load until the test lets that rest."""
    both.load.work()
    return both


@pytest.mark.parametrize("kind", ["gcs_server", "raylet", "zygote", "agent", "worker"])
def test_one_that_is_stopped_and_goes_on_is_only_waited_for(nodes, kind):
    process = nodes.find(kind)
    process.suspend()
    time.sleep(PAUSE_S)  # how long it is stopped
    process.resume()
    nodes.load.goes_on()
    nodes.load.rest()
    assert len([node for node in ray.nodes() if node["Alive"]]) == 2


@pytest.mark.parametrize("kind", ["agent", "worker"])
def test_one_that_is_killed_is_replaced(nodes, kind):
    process = nodes.find(kind)
    process.kill()
    assert wait_gone([process], timeout=10) == []
    nodes.load.goes_on()
    wait_there(nodes, kind)
    nodes.load.rest()
    assert len([node for node in ray.nodes() if node["Alive"]]) == 2


def wait_there(nodes, kind):
    deadline_at_s = time.monotonic() + PATIENCE_S
    while not is_there(nodes, kind):
        assert time.monotonic() < deadline_at_s
        time.sleep(0.01)


def is_there(nodes, kind):
    try:
        return nodes.find(kind).is_running()
    except (StopIteration, psutil.NoSuchProcess):
        return False


@pytest.mark.parametrize("kind", ["zygote", "raylet"])
def test_one_that_a_node_cannot_do_without_takes_the_node_along_and_its_work_moves(nodes, kind):
    raylet = nodes.find("raylet")
    all_of_it = [raylet, *raylet.children(recursive=True)]
    os.kill(nodes.find(kind).pid, signal.SIGKILL)
    assert wait_gone(all_of_it, timeout=10) == []
    nodes.load.goes_on()
    assert len([node for node in ray.nodes() if node["Alive"]]) == 1
    nodes.add()
    nodes.load.goes_on()
    nodes.load.rest()
