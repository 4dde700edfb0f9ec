"""The hazards of pushing a task to a worker that still runs another one: the pipelining must never be observable."""

import sys
import time

import pytest

import ray
from ray._core.worker import object_ref

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests
pytestmark = pytest.mark.usefixtures("cluster")
PATIENCE_S = 20


@ray.remote
def write(path, value):
    path.write_text(value)
    return value


@ray.remote
def read(box):
    return ray.get(box[0]) if box else ""


@ray.remote
def poll(path):
    end_at_s = time.monotonic() + PATIENCE_S
    while path is not None and not path.exists():
        assert time.monotonic() < end_at_s, "what is waited for was not run meanwhile"
        time.sleep(0.001)


@ray.remote(num_cpus=0)
class Gate:
    def value(self, after_s):
        time.sleep(after_s)
        return "open"


@pytest.fixture
def quick(tmp_path):
    """All of these functions are known to be quick, so more than one of their tasks is pushed to a worker."""
    ray.get([read.options(num_cpus=2).remote([]) for _ in range(50)])
    ray.get([read.remote([]) for _ in range(50)] + [poll.remote(None) for _ in range(50)])
    for function in write, write.options(num_cpus=2):
        ray.get([function.remote(tmp_path / "any", "") for _ in range(50)])


@pytest.mark.parametrize("after_s", [0.01, 0.3])
def test_a_pipelined_task_never_waits_behind_one_that_blocks_on_it(quick, tmp_path, after_s):
    """It becomes ready when the other one blocks already: with all CPUs for each there is but one lease."""
    gate = Gate.remote()
    ray.get(gate.value.remote(0))
    written = write.options(num_cpus=2).remote(tmp_path / "late", gate.value.remote(after_s))
    assert ray.get(read.options(num_cpus=2).remote([written]), timeout=PATIENCE_S) == "open"


def test_a_pipelined_task_never_waits_behind_one_that_runs_on_until_it_is_done(quick, tmp_path):
    gate, path = Gate.remote(), tmp_path / "late"
    ray.get(gate.value.remote(0))
    polling = poll.remote(path)
    after_s = 3 * object_ref._core.config.lease_linger_ms / 1000  # by then the second worker has gone back
    written = write.remote(path, gate.value.remote(after_s))
    assert ray.get([written, polling], timeout=PATIENCE_S) == ["open", None]
