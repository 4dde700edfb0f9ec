"""A cluster for the tests of `ray.dag`, on the public API alone, so they run on any Ray:

python -m pytest tests/dag --confcutdir=tests/dag
"""

import os
from pathlib import Path

import psutil
import pytest
from gone import wait_gone

os.environ.setdefault("RAY_AUTH_TOKEN", "token-of-the-tests")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.pop("RAY_ADDRESS", None)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))

import ray


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "timeout: seconds that a test may take")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """A local cluster of 4 CPUs, shared by the tests of a module; none of its processes outlives the module."""
    ray.init("local", num_cpus=4, object_store_memory=256 << 20, include_dashboard=False, log_to_driver=False)
    started = psutil.Process().children(recursive=True)
    yield
    ray.shutdown()
    assert wait_gone(started, timeout=20) == []
