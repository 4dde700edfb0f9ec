"""Many scheduling classes of one owner on real processes: they take turns, cost no more each, and are forgotten."""

import sys
import time

import pytest

import ray
from ray._core.worker import object_ref

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests
pytestmark = pytest.mark.usefixtures("cluster")


@ray.remote
def work(seconds=0.0):
    time.sleep(seconds)
    return "done"


def test_an_idle_lease_does_not_linger_while_another_class_of_its_owner_waits():
    ray.get([work.remote() for _ in range(10)])
    began_s = time.monotonic()
    assert ray.get([work.options(memory=1000 + number).remote() for number in range(200)]) == ["done"] * 200
    assert time.monotonic() - began_s < 15, "200 lingers on 2 CPUs take 25 s, and all else a fraction of a second"


def test_a_class_whose_tasks_do_not_end_leaves_room_for_another_one():
    busy = [work.remote(0.01) for _ in range(400)]
    assert ray.get(work.options(memory=1).remote()) == "done"
    _, waiting = ray.wait(busy, num_returns=len(busy), timeout=0)
    assert waiting, "the other class had to wait for all of them"
    ray.get(busy)


def test_a_task_that_needs_the_whole_node_is_served_although_small_ones_do_not_end():
    busy = [work.remote(0.02) for _ in range(400)]
    assert ray.get(work.options(num_cpus=2).remote()) == "done"
    _, waiting = ray.wait(busy, num_returns=len(busy), timeout=0)
    for ref in waiting:
        ray.cancel(ref)
    assert waiting, "it had to wait for all of them"


def test_what_waits_in_vain_costs_the_others_no_lease_for_each_call():
    ray.get(work.remote())
    vain = work.options(resources={"nothing has it": 1}).remote()
    leases = object_ref._core.submitter.leases
    asked = []
    leases.ask = lambda queue, *rest: (asked.append(queue), type(leases).ask(leases, queue, *rest))
    try:
        for _ in range(100):
            ray.get(work.remote())
    finally:
        del leases.ask
    assert len(asked) < 20
    ray.cancel(vain)


def test_queues_of_classes_that_are_over_are_forgotten():
    core = object_ref._core
    ray.get([work.options(memory=5000 + number).remote() for number in range(50)])
    deadline_at_s = time.monotonic() + 10
    while core.submitter._queues or core.submitter.leases._open or core.submitter.leases._idle:
        assert time.monotonic() < deadline_at_s, core.submitter._queues
        time.sleep(0.01)
