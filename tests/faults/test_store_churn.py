"""Four processes put, read and free objects of random sizes, and one of them is killed again and again: no value is
wrong, and nothing of the memory is lost in the end.

RAY_TEST_PUTS says how many puts there are; `make churn` takes minutes (100,000 puts, 99 killed processes: 190 s on 2
busy cores, nothing left, no value wrong).
"""

import os
import random
import signal
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np

import ray
from ray._core.common import messages as m
from ray.util.state.api import StateApiClient

MIB = 1 << 20
PUTS = int(os.environ.get("RAY_TEST_PUTS", "500"))
PROCESSES, BATCH, KEPT = 4, 125, 24


def churner():
    """The actor's class, made in here so that it travels by value: workers cannot import this file."""

    @ray.remote(num_cpus=0, concurrency_groups={"admin": 1})
    class Churner:
        def __init__(self, seed):
            self.rng = random.Random(seed)
            self.noise = np.random.default_rng(seed).integers(0, 255, 16 * MIB, dtype=np.uint8)
            self.kept = []

        @ray.method(concurrency_group="admin")
        def pid(self):
            return os.getpid()

        def churn(self, count, of_others):
            """Put `count` objects, free some, and read those of other processes, which may be dead."""
            for _ in range(count):
                size = self.size()
                start = self.rng.randrange(len(self.noise) - size)
                data = self.noise[start : start + size]
                self.kept.append((ray.put(data), zlib.crc32(data)))
                if len(self.kept) > KEPT:
                    self.check(*self.kept.pop(self.rng.randrange(len(self.kept))))
            for ref, checksum in of_others:
                try:
                    self.check(ref, checksum)
                except (ray.exceptions.ObjectLostError, ray.exceptions.OwnerDiedError):
                    continue  # its owner was killed
            return self.rng.sample(self.kept, 3)

        def size(self):
            """Bytes: mostly of what shares a slab, some of what takes an extent by itself."""
            kind = self.rng.random()
            if kind < 0.7:
                return self.rng.randrange(100 << 10, 300 << 10)
            return self.rng.randrange(300 << 10, 2 * MIB) if kind < 0.97 else self.rng.randrange(4 * MIB, 12 * MIB)

        def check(self, ref, checksum):
            found = zlib.crc32(ray.get(ref))
            assert found == checksum, f"{ref} has the checksum {found:x} instead of {checksum:x}"

    return Churner


class Runner:
    """One churner after another, until as many objects have been put by them all as are wanted."""

    def __init__(self):
        self.lock, self.churner = threading.Lock(), churner()
        self.left, self.killed, self.lent = PUTS, 0, {}

    def run(self, number):
        """Churner number 0 is killed, and followed by another one, until all is done."""
        generation, actor = 0, self.churner.remote(number)
        while self.left > 0:
            lent = [pair for other, pairs in list(self.lent.items()) if other != number for pair in pairs]
            pid = ray.get(actor.pid.remote(), timeout=60)
            work = actor.churn.remote(BATCH, lent)
            kills = number == 0 and (generation == 0 or random.random() < 0.75)
            if kills:
                time.sleep(random.random() * 0.5)  # a random moment of its work, which is not waited for
                os.kill(pid, signal.SIGKILL)
                self.killed, generation = self.killed + 1, generation + 1
                actor = self.churner.remote(1000 * generation)
            try:
                self.lent[number] = ray.get(work, timeout=60)
            except ray.exceptions.RayActorError:
                assert kills
                continue
            with self.lock:
                self.left -= BATCH
                if self.left % 10_000 < BATCH:
                    print(f"{self.left} puts to go, {self.killed} processes killed", flush=True)


def stats():
    [blob] = StateApiClient().dump("stores")
    return msgspec.msgpack.decode(blob, type=m.StoreStats)


def test_the_memory_ends_empty_and_every_value_is_right():
    ray.init(num_cpus=4, object_store_memory=400 * MIB, log_to_driver=False)
    try:
        runner = Runner()
        with ThreadPoolExecutor(PROCESSES) as threads:
            list(threads.map(runner.run, range(PROCESSES)))
        assert runner.left <= 0 and runner.killed
        runner.lent.clear()
        deadline_at_s = time.monotonic() + 30
        while (left := stats()).num_objects or left.taken_bytes or left.on_disk_bytes or left.overflow_bytes:
            assert time.monotonic() < deadline_at_s, left
            time.sleep(0.05)
        print(f"{PUTS} puts, {runner.killed} kills; spilled {left.spilled_bytes / 1e9:.1f} GB")
    finally:
        ray.shutdown()
