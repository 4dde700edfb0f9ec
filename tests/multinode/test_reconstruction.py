"""Objects whose every copy was lost are made again by their tasks. Source: Ray docs, "Object Fault Tolerance"."""

import numpy as np
import pytest

import ray
from ray._core.common.messages import StoreLocation

from .conftest import fail, wait_until

SIZE = 1 << 18  # int64 numbers: 2 MiB, far above what travels inline


@ray.remote(resources={"far": 1}, max_retries=2)
def make(number):
    return np.full(SIZE, number)


@ray.remote(resources={"far": 1}, max_retries=2)
def double(array):
    return array * 2


@pytest.fixture
def far(start_cluster):
    """A function that has a node with the resource "far", and one that makes it fail and adds another one."""
    nodes = start_cluster(num_cpus=1)
    added = [nodes.add(num_cpus=1, resources={"far": 10})]

    def replace():
        fail(added[-1])
        added.append(nodes.add(num_cpus=1, resources={"far": 10}))

    return replace


def ready(refs):
    done, _ = ray.wait(refs, num_returns=len(refs), timeout=60, fetch_local=False)
    assert len(done) == len(refs)


def lineage():
    return ray._private.worker.global_worker.core_worker.lineage


def test_a_lost_result_is_made_again(far):
    ref = make.remote(3)
    ready([ref])
    far()
    assert ray.get(ref, timeout=60)[-1] == 3


def test_a_chain_is_made_again_though_its_beginning_was_dropped(far):
    first = make.remote(3)
    second = double.remote(first)
    third = double.remote(second)
    ready([third])
    del first
    far()
    assert ray.get(third, timeout=60)[0] == 12
    assert ray.get(second, timeout=60)[0] == 6


def test_a_task_whose_argument_was_lost_waits_for_it(far):
    ref = make.remote(5)
    ready([ref])
    far()
    assert ray.get(double.remote(ref), timeout=60)[0] == 10


def test_a_borrower_gets_a_value_that_its_owner_has_made_again(far):
    @ray.remote(num_cpus=0)
    class Reader:
        def read(self, refs):
            return int(ray.get(refs[0])[0])

    reader, ref = Reader.remote(), make.remote(7)
    ready([ref])
    far()
    assert ray.get(reader.read.remote([ref]), timeout=60) == 7


def test_items_of_a_generator_are_made_again(far):
    @ray.remote(resources={"far": 1}, max_retries=1)
    def count(n):
        for number in range(n):
            yield np.full(SIZE, number)

    refs = list(count.remote(3))
    ready(refs)
    far()
    assert [int(value[0]) for value in ray.get(refs, timeout=60)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "reason"), [({"max_retries": 0}, "max_retries"), ({"max_retries": 1}, "has used up its retries")]
)
def test_without_retries_the_loss_is_told(far, options, reason):
    ref = make.options(**options).remote(1)
    ready([ref])
    far()
    if options["max_retries"]:
        ready([ref])
        assert ray.get(ref, timeout=60)[0] == 1
        del_local_copy(ref)
        far()
    with pytest.raises(ray.exceptions.ObjectReconstructionFailedError, match=reason):
        ray.get(ref, timeout=60)


def del_local_copy(ref):
    """Forget that the driver's node has a copy, as if it had been evicted there."""
    core = ray._private.worker.global_worker.core_worker
    with core.lock:
        entry = core.objects[ref.binary()]
        core.remote.free_at(StoreLocation(core.node.node_id, 0, 0, entry.value.location.attempt), ref.binary())
        entry.here, entry.copies = None, []


def test_what_came_from_put_cannot_be_made_again(far):
    @ray.remote(resources={"far": 1})
    class Putter:
        def put(self):
            self.ref = ray.put(np.zeros(SIZE))
            return [self.ref]

    putter = Putter.remote()
    (ref,) = ray.get(putter.put.remote())
    far()
    with pytest.raises(ray.exceptions.ObjectLostError):
        ray.get(ref, timeout=60)


def test_nothing_is_remembered_once_nobody_wants_the_results(far):
    first = make.remote(3)
    second = double.remote(first)
    ready([second])
    assert "tasks=2" in repr(lineage())
    del first, second
    wait_until(lambda: "tasks=0 bytes=0" in repr(lineage()), "the lineage is dropped")
