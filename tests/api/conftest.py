"""Fixtures of the contract tests: what the public API promises, on real processes.

The tests use the public API alone, so the same files run on any implementation of Ray:
    python -m pytest tests/api --confcutdir=tests/api
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = str(Path(__file__).parent)
# Workers import the test modules and helpers by name; a worker inherits PYTHONPATH, but not pytest's sys.path.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH", "")]))
os.environ.setdefault("RAY_AUTH_TOKEN", "token-of-the-tests")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.pop("RAY_ADDRESS", None)

from helpers import Gate, Tally  # noqa: E402 - found by the path set above

import ray  # noqa: E402 - reads the environment set above

STORE_BYTES = 256 << 20
TIME_LIMIT_S = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test of this directory a time limit."""
    for item in items:
        if HERE in str(item.path) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIME_LIMIT_S))


_shared: dict[str, Any] | None = None


def _stop() -> None:
    global _shared
    _shared = None
    ray.shutdown()


@pytest.fixture(scope="module", autouse=True)
def _no_cluster_outlives_its_module() -> Iterator[None]:
    yield
    _stop()


@pytest.fixture
def shared_ray(request: pytest.FixtureRequest) -> None:
    """A cluster that the tests of a module share: 4 CPUs, or what the module's CLUSTER says.

    Not a module-scoped fixture, because a test with `fresh_ray` may have stopped it in between.
    """
    global _shared
    wanted = {"num_cpus": 4, "object_store_memory": STORE_BYTES, **getattr(request.module, "CLUSTER", {})}
    if _shared == wanted and ray.is_initialized():
        return
    _stop()
    ray.init(**wanted)
    _shared = wanted


@pytest.fixture
def fresh_ray() -> Iterator[Callable[..., Any]]:
    """Nothing runs when the test begins; call it as `ray.init` (2 CPUs unless told otherwise)."""

    def start(**arguments: Any) -> Any:
        if "address" not in arguments or arguments["address"] == "local":
            arguments = {"num_cpus": 2, "object_store_memory": STORE_BYTES, **arguments}
        return ray.init(**arguments)

    _stop()
    yield start
    _stop()


@pytest.fixture
def ray_cluster() -> Iterator[Any]:
    """An empty `ray.cluster_utils.Cluster`; the first `add_node` is its head. The driver is not connected."""
    from ray.cluster_utils import Cluster

    _stop()
    cluster = Cluster()
    yield cluster
    _stop()
    cluster.shutdown()


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A gate that tasks in any process of this machine can wait at."""
    return Gate(tmp_path / "gate")


@pytest.fixture
def tally(tmp_path: Path) -> Tally:
    """A counter that survives the processes which count."""
    return Tally(tmp_path / "tally")
