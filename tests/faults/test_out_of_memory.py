"""Memory above the threshold: work is ended, retried for nothing, and told about. Every amount of memory is above 0."""

import sys
import time

import pytest

import ray
from ray.util.state import list_tasks

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file


@pytest.fixture
def tight_memory():
    """A cluster whose memory counts as exhausted at once."""
    settings = {"memory_usage_threshold": 0.0, "memory_monitor_refresh_ms": 50, "task_oom_retry_delay_base_ms": 1}
    ray.init(num_cpus=1, _system_config={**settings, "task_oom_retries": 2})
    yield
    ray.shutdown()


def linger(path):
    with open(path, "a") as file:
        file.write(".")
    time.sleep(60)


def test_a_task_without_retries_fails_and_the_error_tells_where_the_memory_is(tight_memory, tmp_path):
    task = ray.remote(max_retries=0)(linger)
    with pytest.raises(ray.exceptions.OutOfMemoryError, match="COMMAND") as caught:
        ray.get(task.remote(str(tmp_path / "runs")), timeout=30)
    assert "threshold" in str(caught.value)


def test_retries_for_lack_of_memory_are_counted_apart(tight_memory, tmp_path):
    task = ray.remote(max_retries=1)(linger)
    with pytest.raises(ray.exceptions.OutOfMemoryError):
        ray.get(task.remote(str(tmp_path / "runs")), timeout=30)
    attempts = list_tasks(filters=[("name", "=", "linger")])  # a worker may be ended before its attempt writes
    assert sorted(attempt.attempt_number for attempt in attempts) == [0, 1, 2]


def test_an_actor_that_is_ended_says_so(tight_memory):
    @ray.remote
    class Idle:
        def wait(self):
            time.sleep(60)

    with pytest.raises(ray.exceptions.RayError, match="ran low"):
        ray.get(Idle.remote().wait.remote(), timeout=30)
