"""An error goes down a long chain of tasks that depend on each other."""

import pytest

import ray

CHAIN = 1500


@ray.remote
def passed_on(value=None):
    if value is None:
        raise KeyError("the root")
    return value


@ray.remote(num_cpus=0)
class Actor:
    def passed_on(self, value):
        return value


def test_a_failed_task_fails_a_long_chain_of_tasks(cluster):
    ref = passed_on.remote()
    for _ in range(CHAIN):
        ref = passed_on.remote(ref)
    with pytest.raises(KeyError, match="the root") as caught:
        ray.get(ref, timeout=60)
    text = str(caught.value)
    assert "At least one of the input arguments for this task could not be computed" in text
    assert 'raise KeyError("the root")' in text
    assert len(text) < 50_000


def test_a_failed_task_fails_a_long_chain_of_calls(cluster):
    actor = Actor.remote()
    ref = passed_on.remote()
    for _ in range(CHAIN):
        ref = actor.passed_on.remote(ref)
    with pytest.raises(KeyError, match="the root"):
        ray.get(ref, timeout=60)
