"""Items of generators whose every copy was lost are made again. Source: Ray docs, "Object Fault Tolerance"."""

import numpy as np
import pytest

import ray
from ray.exceptions import ObjectReconstructionFailedError, StreamingGeneratorReplayInconsistentError

from .conftest import fail

SIZE = 1 << 18  # int64 numbers: 2 MiB, far above what travels inline


@ray.remote(resources={"far": 1}, max_retries=2)
def numbers(count):
    for number in range(count):
        yield np.full(SIZE, number)


@ray.remote(resources={"far": 1}, max_retries=2, _generator_backpressure_num_objects=1)
def slowly(count):
    for number in range(count):
        yield np.full(SIZE, number)


@ray.remote(resources={"far": 1}, max_retries=2)
def shrinking(path):
    count = 4 if not path.exists() else 2
    path.touch()
    for number in range(count):
        yield np.full(SIZE, number)


@pytest.fixture
def far(start_cluster):
    """A function that makes the node with the resource "far" fail and adds another one."""
    nodes = start_cluster(num_cpus=1)
    added = [nodes.add(num_cpus=1, resources={"far": 10})]

    def replace():
        fail(added[-1])
        added.append(nodes.add(num_cpus=1, resources={"far": 10}))

    return replace


def ended(stream):
    ray.get(stream.completed(), timeout=20)


def test_lost_items_are_made_again_taken_or_not(far):
    stream = numbers.remote(5)
    taken = [next(stream), next(stream)]
    ended(stream)
    far()
    values = [ray.get(ref, timeout=20) for ref in [*taken, *stream]]
    assert [int(value[-1]) for value in values] == [0, 1, 2, 3, 4]


def test_lost_items_are_made_again_though_their_generator_is_gone(far):
    stream = numbers.remote(4)
    ended(stream)
    refs = list(stream)
    del stream
    del refs[0]
    far()
    assert [int(ray.get(ref, timeout=20)[0]) for ref in refs] == [1, 2, 3]


def test_a_producer_that_was_held_back_is_not_when_it_makes_items_again(far):
    refs = list(slowly.remote(4))
    ray.wait(refs, num_returns=4, timeout=60, fetch_local=False)
    far()
    assert [int(ray.get(ref, timeout=20)[0]) for ref in refs] == [0, 1, 2, 3]


def test_items_that_do_not_come_again_are_errors(far, tmp_path):
    stream = shrinking.remote(tmp_path / "ran")
    ended(stream)
    refs = list(stream)
    far()
    assert int(ray.get(refs[0], timeout=20)[0]) == 0
    for ref in refs[2:]:
        with pytest.raises((StreamingGeneratorReplayInconsistentError, ObjectReconstructionFailedError)):
            ray.get(ref, timeout=20)
