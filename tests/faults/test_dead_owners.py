"""Refs of a process that has died, in processes that have never met it."""

import os
import signal
import sys

import psutil
import pytest

import ray
from ray.exceptions import OwnerDiedError

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file
pytestmark = pytest.mark.usefixtures("cluster")


@ray.remote
class Owner:
    def pid(self):
        return os.getpid()

    def lend(self):
        return [ray.put(bytes(200_000))]


@ray.remote
def read(box, way):
    """Nobody listens at the owner's socket any more, which the reader finds out when it asks for the value."""
    try:
        if way == "wait":
            ready, _ = ray.wait(box, timeout=20)
            assert ready == box
        ray.get(box[0], timeout=20)
    except OwnerDiedError:
        return "told"


@pytest.mark.parametrize("way", ["get", "wait"])
def test_a_process_that_never_met_the_owner_is_told_of_its_death(way):
    owner = Owner.remote()
    box = ray.get(owner.lend.remote())
    process = psutil.Process(ray.get(owner.pid.remote()))
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    assert ray.get(read.remote(box, way), timeout=60) == "told"
