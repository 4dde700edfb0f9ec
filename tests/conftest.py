"""Fixtures of tests on real processes. Whatever a test starts must be gone after its module."""

import os
from pathlib import Path

import psutil
import pytest

os.environ.setdefault("RAY_AUTH_TOKEN", "token-of-the-tests")

import ray


def _alive(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A local cluster of two CPUs, shared by the tests of a module."""
    # Unix socket paths are short: a directory of the system's, not pytest's deep one.
    ray.init(num_cpus=2, object_store_memory=256 * 1024 * 1024)
    arenas = list(Path("/dev/shm").glob("ray-*.arena"))
    processes = psutil.Process().children(recursive=True)
    yield
    ray.shutdown()
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert [p for p in alive if _alive(p)] == []
    assert [path for path in arenas if path.exists()] == []
