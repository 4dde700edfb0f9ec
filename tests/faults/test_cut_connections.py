"""Connections of the driver are cut at random while it works: what they carried is sent again or made elsewhere."""

import random
import socket
import threading

import ray
from ray._core.wire.reactor import Connection
from ray._core.worker.gcs_client import GcsClient
from ray._private.auto_init_hook import connected_core
from ray.cluster_utils import Cluster

CUTS = 25


class Cutter(threading.Thread):
    """Shuts random connections down; not those to the own raylet and the GCS, without which a driver is dead."""

    def __init__(self, core, seed):
        super().__init__(name="cutter")
        self._core, self._random, self._over = core, random.Random(seed), threading.Event()
        self.cuts = 0

    def run(self):
        while not self._over.wait(self._random.uniform(0.02, 0.1)):
            core = self._core
            with core.lock:
                entries = core.reactor._by_fd.values()
                found = [each for each in entries if isinstance(each, Connection) and each is not core.raylet]
                found = [each for each in found if not isinstance(each.peer, GcsClient)]
                if found:
                    self._random.choice(found).sock.shutdown(socket.SHUT_RDWR)
                    self.cuts += 1

    def stop(self):
        self._over.set()
        self.join()


def test_a_driver_whose_connections_break_gets_all_results():
    cluster = Cluster(True, True, {"num_cpus": 1, "object_store_memory": 128 << 20})
    cluster.add_node(num_cpus=1, object_store_memory=128 << 20)

    @ray.remote(num_cpus=0.5, max_retries=-1, scheduling_strategy="SPREAD")
    def double(number):
        return 2 * number, bytes(200_000)

    @ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
    class Echo:
        def say(self, word):
            return word

    cutter = Cutter(connected_core(), 1)
    try:
        echo = Echo.remote()
        cutter.start()
        first = 0
        while cutter.cuts < CUTS:
            numbers = range(first, first := first + 20)
            doubled = [double.remote(number) for number in numbers]
            said = [echo.say.remote(number) for number in numbers]
            assert [(value, len(blob)) for value, blob in ray.get(doubled, timeout=60)] == [
                (2 * number, 200_000) for number in numbers
            ]
            assert ray.get(said, timeout=60) == [*numbers]
    finally:
        cutter.stop()
        ray.shutdown()
        cluster.shutdown()
