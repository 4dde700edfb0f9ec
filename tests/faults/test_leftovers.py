"""Ways to die that leave nobody who cleans up: nothing of the session stays, or the next node here removes it."""

import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from ray._core.node import stale_arenas
from ray._core.raylet import leftovers

DRIVER = """
import os, sys, time, ray
ray.init(num_cpus=1, object_store_memory=80 << 20, log_to_driver=False, _plasma_directory=os.environ["RAY_TMPDIR"])
@ray.remote
def work(): return os.getpid()
ray.get(work.remote())
if "spills" in sys.argv:
    refs = [ray.put(bytes(30 << 20)) for _ in range(5)]
print("up", flush=True)
time.sleep(600)
"""
PATIENCE_S = 15


class Session:
    """A driver with a cluster of its own; everything of it is found by the directory that it keeps to."""

    def __init__(self, directory, *what):
        self.directory = directory
        environ = {**os.environ, "RAY_TMPDIR": directory}
        self.driver = subprocess.Popen([sys.executable, "-c", DRIVER, *what], stdout=subprocess.PIPE, env=environ)

    def wait_up(self):
        assert self.driver.stdout.readline() == b"up\n"

    def processes(self):
        """Of this session, the driver too: all have inherited its environment, or are below one that has."""
        found = {}
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("RAY_TMPDIR") == self.directory
            except psutil.Error:
                continue
            if mine and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
        return list(found.values())

    def of_kind(self, *words):
        return [each for each in self.processes() if any(word in command_of(each) for word in words)]

    def arenas(self):
        return list(Path(self.directory).glob("ray-*.arena"))

    def spilled(self):
        return list(Path(self.directory).glob("ray/session_2*/ray_spilled_objects_*"))

    def sockets(self):
        return list(Path(self.directory).glob("ray/session_2*/sockets/*"))

    def kill_driver(self):
        self.driver.kill()
        self.driver.wait()
        self.driver.stdout.close()

    def assert_gone(self):
        deadline_at_s = time.monotonic() + PATIENCE_S
        while left := [*self.processes(), *self.arenas(), *Path(self.directory).glob("ray/session_2*/sockets/raylet*")]:
            assert time.monotonic() < deadline_at_s, left
            time.sleep(0.02)


def command_of(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it ends this very moment
        return ""


@pytest.fixture
def session():
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as directory:
        started = []

        def start(*what):
            started.append(Session(directory, *what))
            return started[-1]

        yield start
        for each in started:
            for process in each.processes():
                process.kill()
            each.kill_driver()


def test_without_its_reaper_a_session_still_ends_with_its_driver(session):
    one = session()
    one.wait_up()
    [reaper] = one.of_kind("reaper.py")
    reaper.kill()
    one.kill_driver()
    one.assert_gone()


@pytest.mark.parametrize("order", list(itertools.permutations(["reaper.py", "gcs.server", "raylet.main"]))[:3])
def test_in_whatever_order_its_services_are_killed_no_process_stays(session, order):
    one = session()
    one.wait_up()
    for kind in order:
        for process in one.of_kind(kind):
            process.kill()
    one.kill_driver()
    stale = one.arenas()
    deadline_at_s = time.monotonic() + PATIENCE_S
    while one.processes():
        assert time.monotonic() < deadline_at_s, one.processes()
        time.sleep(0.02)
    assert stale_arenas.remove(one.directory, young_s=0) == stale
    assert one.arenas() == []


def test_a_start_that_is_killed_at_any_moment_leaves_nothing(session):
    rng = random.Random(5)
    for _ in range(4):
        one = session()
        time.sleep(rng.random() * 1.2)  # at any moment
        one.kill_driver()
        one.assert_gone()


def test_the_arena_of_a_raylet_that_lives_is_left_alone(session):
    one = session()
    one.wait_up()
    assert stale_arenas.remove(one.directory, young_s=0) == [] and len(one.arenas()) == 1
    [raylet] = one.of_kind("raylet.main")
    os.kill(raylet.pid, signal.SIGSTOP)
    assert stale_arenas.remove(one.directory, young_s=0) == [] and len(one.arenas()) == 1
    one.kill_driver()
    one.assert_gone()


def test_what_was_spilled_is_removed_when_a_driver_is_killed(session):
    one = session("spills")
    one.wait_up()
    [directory] = one.spilled()
    assert list(directory.iterdir())
    one.kill_driver()
    deadline_at_s = time.monotonic() + PATIENCE_S
    while one.spilled():
        assert time.monotonic() < deadline_at_s
        time.sleep(0.02)


def test_what_a_session_leaves_whose_processes_are_killed_at_once_the_next_raylet_removes(session):
    one = session("spills")
    one.wait_up()
    temp = Path(one.directory) / "ray"
    assert leftovers.remove(temp, young_s=0) == [] and one.spilled()  # all of it is in use
    processes = one.processes()
    for process in processes:
        process.suspend()
    for process in processes:
        process.kill()
    one.kill_driver()
    assert one.processes() == []
    left = {*one.spilled(), *one.sockets()}
    assert len(left) >= 4  # of the raylet, the driver and a worker
    assert leftovers.remove(temp) == []  # it is young
    assert set(leftovers.remove(temp, young_s=0)) == left
    assert one.spilled() == one.sockets() == []
