"""Descriptors, shared memory and disks that run out: work waits or fails with a clear error, nothing else breaks."""

import os
import subprocess
import sys
import tempfile

import pytest

needs_mounts = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
MIB = 1024 * 1024


def drive(body, **environ):
    """What a driver prints."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        environ = {**os.environ, "RAY_TMPDIR": short, **environ}
        done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, timeout=60, env=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def small_disk():
    """`small_disk(MiB)` mounts a file system of that size; its path."""
    mounted = []

    def mount(size_mib):
        path = tempfile.mkdtemp(dir="/tmp")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", path]).returncode:
            os.rmdir(path)
            pytest.skip("mounting a small file system is not allowed here")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", "-l", path], check=True)
        os.rmdir(path)


def test_a_driver_without_descriptors_waits_for_some_and_no_worker_is_blamed():
    stdout, stderr = drive("""
import glob, os, resource, ray
context = ray.init(num_cpus=1, object_store_memory=100 << 20, log_to_driver=False)

@ray.remote
def pid():
    return os.getpid()

@ray.remote(num_cpus=0)
class Actor:
    def ready(self):
        return True

def limit(most):
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

actors = [Actor.remote() for _ in range(9)]
limit(len(os.listdir("/proc/self/fd")) + 3)
ready = [actor.ready.remote() for actor in actors]
assert len(ray.wait(ready, num_returns=1, timeout=20)[0]) == 1
assert len(ray.wait(ready, num_returns=9, timeout=0.5)[0]) < 9
task = pid.options(max_retries=0).remote()
assert ray.wait([task], timeout=0.5)[0] == []
limit(1000)
assert ray.get(ready, timeout=20) == [True] * 9
assert all(ray.get(actor.ready.remote(), timeout=20) for actor in actors)
assert ray.get(task, timeout=20)
workers = glob.glob(context.address_info["session_dir"] + "/logs/worker-*.out")
assert len(workers) < 20, workers  # those that could not be reached were not replaced, again and again
print("all there")
""")
    assert stdout == "all there\n"
    assert stderr.count("A connection waits for a file descriptor (Too many open files): raise `ulimit -n`.") == 1


@needs_mounts
def test_a_full_disk_of_spilled_objects_is_told_and_loses_none(small_disk):
    stdout, _ = drive(f"""
import os, ray
directory = {small_disk(24)!r}
ray.init(num_cpus=1, object_store_memory=80 << 20, object_spilling_directory=directory, log_to_driver=False,
    _system_config={{"object_store_full_timeout_s": 1.0}})
blobs, refs = [bytes([number]) * (10 << 20) for number in range(14)], []
try:
    for blob in blobs:
        refs.append(ray.put(blob))
except ray.exceptions.ObjectStoreFullError as error:
    print(error)
assert 5 < len(refs) < 14
assert [ray.get(ref, timeout=20) == blob for ref, blob in zip(refs, blobs)] == [True] * len(refs)
del refs
assert len(ray.get(ray.put(blobs[0]), timeout=20)) == 10 << 20
print("all there")
""")
    assert "spilling to disk fails: [Errno 28] No space left on device" in stdout
    assert stdout.endswith("all there\n")


@needs_mounts
def test_shared_memory_that_is_smaller_than_was_asked_for_is_full_early_and_kills_nobody(small_disk):
    stdout, _ = drive(f"""
import os, ray
directory = {small_disk(50)!r}
ray.init(num_cpus=1, object_store_memory=200 << 20, _plasma_directory=directory, log_to_driver=False)

@ray.remote
def make(number):
    return bytes([number]) * (10 << 20)

refs = [ray.put(bytes([number]) * (10 << 20)) for number in range(5)] + [make.remote(number) for number in range(5, 10)]
assert [ray.get(ref, timeout=40) == bytes([n]) * (10 << 20) for n, ref in enumerate(refs)] == [True] * 10
print("all there")
""")
    assert stdout == "all there\n"


@needs_mounts
def test_calls_to_a_gcs_whose_disk_is_full_wait_until_it_has_room_and_nothing_is_half_written(small_disk):
    stdout, stderr = drive(f"""
import os, threading, ray
from ray._core.common import messages as m
from ray._core.node import membership
from ray._private.auto_init_hook import connected_core
from ray.cluster_utils import Cluster
from ray.experimental import internal_kv as kv
directory = {small_disk(16)!r}
head = {{"num_cpus": 1, "object_store_memory": 100 << 20, "temp_dir": directory + "/r",
    "_system_config": {{"gcs_storage": "sqlite"}}}}
cluster = Cluster(initialize_head=True, connect=True, head_node_args=head)

@ray.remote
class Counter:
    def __init__(self): self.calls = 0
    def add(self):
        self.calls += 1
        return self.calls

@ray.remote
def one(): return 1

counter = Counter.remote()
assert ray.get(counter.add.remote()) == 1
kv._internal_kv_put(b"before", b"1")
with open(directory + "/filler", "wb", buffering=0) as filler:
    try:
        while True: filler.write(bytes(4096))
    except OSError:
        pass
written = threading.Event()
def write():
    kv._internal_kv_put(b"big", bytes(1 << 20))
    written.set()
writer = threading.Thread(target=write)
writer.start()
assert not written.wait(1)
assert ray.get([counter.add.remote(), one.remote()], timeout=20) == [2, 1]  # what needs no new row goes on
put, core = m.KvPut(namespace="", key=b"x", value=b"x"), connected_core()
try:
    core.call(core.gcs, put, timeout_s=1.0)
except ray.exceptions.RaySystemError as error:
    print(error)
try:
    with membership.open_client(cluster.address, "cli") as client:
        client.request(put, timeout_s=1.0)
except TimeoutError as error:
    print(error)
os.unlink(directory + "/filler")
assert written.wait(30)
assert kv._internal_kv_get(b"big") == bytes(1 << 20)
cluster.head_node.kill_gcs_server()
cluster.head_node.start_gcs_server()
assert kv._internal_kv_get(b"before") == b"1"
assert kv._internal_kv_get(b"big") == bytes(1 << 20)
assert ray.get(counter.add.remote(), timeout=20) == 3
ray.shutdown()
cluster.shutdown()
print("all there")
""")
    told = "No space left on device. Whatever changes the cluster's state waits until it can: make room, or bring"
    by_driver, by_client, end = stdout.splitlines()
    assert "No answer to KvPut from gcs in 1.0 s. The GCS could not write to /" in by_driver and told in by_driver
    assert "No answer to KvPut in 1 s. The GCS could not write to /" in by_client and told in by_client
    assert told in stderr  # as soon as it is known, not only when a call gives up
    assert end == "all there"
