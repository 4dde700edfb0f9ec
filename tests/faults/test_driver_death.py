"""A driver that dies by SIGKILL leaves no process, shared memory or socket behind."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
from gone import wait_gone

DRIVER = """
import sys, time
import numpy as np
import ray
context = ray.init(num_cpus=2, object_store_memory=100 * 1024 * 1024)
@ray.remote
def spin():
    while True:
        pass
@ray.remote
def quick():
    return 1
ray.get(quick.remote())
refs = [spin.remote() for _ in range(4)]
big = ray.put(np.zeros(1 << 20))
print(context["node_id"], flush=True)
ray.get(refs)
"""


def test_a_killed_driver_leaves_nothing():
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    node_id = driver.stdout.readline().strip()
    arena = Path(f"/dev/shm/ray-{node_id[:16]}.arena")
    assert arena.exists()
    children = psutil.Process(driver.pid).children(recursive=True)
    assert len(children) >= 5  # gcs_server, raylet, zygote, reaper, and a worker that has run a task
    driver.kill()
    driver.wait()
    driver.stdout.close()
    assert wait_gone(children, timeout=15) == []
    deadline_at_s = time.monotonic() + 15
    while arena.exists() and time.monotonic() < deadline_at_s:
        time.sleep(0.05)
    assert not arena.exists()
