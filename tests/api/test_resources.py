"""Resources: who gets what, who waits, what a blocked task lends (docs: "Resources", "Scheduling")."""

import os

import pytest
from helpers import Signal, wait_until

import ray

pytestmark = pytest.mark.usefixtures("shared_ray")
CLUSTER = {"num_cpus": 4, "num_gpus": 4, "resources": {"custom": 2, "other": 1}}


@ray.remote
def enter(tally, gate):
    tally.add()
    gate.wait()
    return "done"


@ray.remote
def gpus():
    return ray.get_gpu_ids(), os.environ.get("CUDA_VISIBLE_DEVICES")


def _all_free():
    free = ray.available_resources()
    return all(free.get(name, 0) == amount for name, amount in {"CPU": 4, "GPU": 4, "custom": 2, "other": 1}.items())


@pytest.fixture(autouse=True)
def _everything_is_free_before_and_after(shared_ray):
    wait_until(_all_free)
    yield


@pytest.mark.parametrize(
    ("options", "at_once"),
    [
        ({"num_cpus": 1}, 4),
        ({"num_cpus": 2}, 2),
        ({"num_cpus": 3}, 1),
        ({"num_cpus": 1.5}, 2),
        ({"num_cpus": 0.5}, 8),
        ({"num_cpus": 0, "resources": {"custom": 1}}, 2),
        ({"num_cpus": 0, "resources": {"custom": 0.5}}, 4),
        ({"num_cpus": 0, "num_gpus": 2}, 2),
        ({"num_cpus": 0, "num_gpus": 0.5}, 8),
        ({"num_cpus": 1, "resources": {"custom": 1, "other": 1}}, 1),
    ],
    ids=str,
)
def test_as_many_run_as_fit(options, at_once, tally, gate):
    refs = [enter.options(**options).remote(tally, gate) for _ in range(at_once + 2)]
    wait_until(lambda: tally.count() == at_once)
    assert ray.wait(refs, timeout=0.2) == ([], refs)
    assert tally.count() == at_once
    gate.open()
    assert ray.get(refs) == ["done"] * len(refs)


def test_what_is_taken_is_not_available(tally, gate):
    ref = enter.options(num_cpus=1.5, num_gpus=1, resources={"custom": 2}).remote(tally, gate)
    wait_until(lambda: tally.count() == 1)
    wait_until(lambda: ray.available_resources()["CPU"] == 2.5)
    free = ray.available_resources()
    assert free["GPU"] == 3.0
    assert "custom" not in free
    assert ray.cluster_resources()["custom"] == 2.0
    gate.open()
    ray.get(ref)


def test_memory_is_a_resource(tally, gate):
    total = ray.cluster_resources()["memory"]
    half = int(total * 0.6)
    refs = [enter.options(num_cpus=0, memory=half).remote(tally, gate) for _ in range(2)]
    wait_until(lambda: tally.count() == 1)
    assert ray.wait(refs, timeout=0.2) == ([], refs)
    gate.open()
    ray.get(refs)


def test_what_nobody_has_waits(tally, gate):
    gate.open()
    for options in ({"num_cpus": 100}, {"resources": {"nowhere": 1}}, {"num_gpus": 50}):
        ref = enter.options(**options).remote(tally, gate)
        assert ray.wait([ref], timeout=0.2) == ([], [ref])
        ray.cancel(ref)
    assert tally.count() == 0


def test_an_infeasible_task_does_not_hold_others_up(tally, gate):
    gate.open()
    stuck = enter.options(resources={"nowhere": 1}).remote(tally, gate)
    assert ray.get(enter.remote(tally, gate)) == "done"
    ray.cancel(stuck)


# --- GPUs ---


def test_a_task_sees_its_own_gpus():
    ids, visible = ray.get(gpus.options(num_gpus=2).remote())
    assert len(ids) == 2
    assert visible == ",".join(str(each) for each in ids)
    assert set(ids) <= {0, 1, 2, 3}


def test_gpus_are_exclusive(tally, gate):
    @ray.remote(num_gpus=1, num_cpus=0)
    def hold():
        tally.add()
        gate.wait()
        return ray.get_gpu_ids()

    refs = [hold.remote() for _ in range(4)]
    wait_until(lambda: tally.count() == 4)
    gate.open()
    assert sorted(gpu for ids in ray.get(refs) for gpu in ids) == [0, 1, 2, 3]


def test_parts_of_a_gpu_share_it(tally, gate):
    @ray.remote(num_gpus=0.5, num_cpus=0)
    def hold():
        tally.add()
        gate.wait()
        return ray.get_gpu_ids()

    refs = [hold.remote() for _ in range(8)]
    wait_until(lambda: tally.count() == 8)
    gate.open()
    found = sorted(gpu for ids in ray.get(refs) for gpu in ids)
    assert found == [0, 0, 1, 1, 2, 2, 3, 3]


def test_an_actor_keeps_its_gpus():
    @ray.remote(num_gpus=1)
    class Holder:
        def ids(self):
            return ray.get_gpu_ids(), os.environ["CUDA_VISIBLE_DEVICES"]

    holders = [Holder.options(num_cpus=0).remote() for _ in range(3)]
    found = ray.get([holder.ids.remote() for holder in holders])
    assert len({ids[0] for ids, _ in found}) == 3
    assert all(visible == str(ids[0]) for ids, visible in found)
    assert ray.get(gpus.options(num_gpus=1).remote())[0][0] not in {ids[0] for ids, _ in found}


# --- blocking ---


def test_a_task_that_waits_lends_its_cpu():
    @ray.remote(num_cpus=4)
    def child():
        return 1

    @ray.remote(num_cpus=4)
    def parent():
        return ray.get(child.remote()) + len(ray.wait([child.remote()])[0])

    assert ray.get(parent.remote()) == 2


def test_deep_nesting_does_not_deadlock():
    @ray.remote(num_cpus=2)
    def down(n):
        return 0 if n == 0 else 1 + ray.get(down.remote(n - 1))

    assert ray.get(down.remote(8)) == 8


def test_a_task_that_waits_keeps_its_custom_resources(tally, gate):
    @ray.remote(num_cpus=1, resources={"other": 1})
    def holder(signal):
        tally.add()
        ray.get(signal[0].wait.remote())

    signal = Signal.remote()
    ref = holder.remote([signal])
    wait_until(lambda: tally.count() == 1)
    gate.open()
    blocked = enter.options(num_cpus=0, resources={"other": 1}).remote(tally, gate)
    assert ray.wait([blocked], timeout=0.3) == ([], [blocked])
    ray.get(signal.send.remote())
    ray.get([ref, blocked])


def test_an_actor_that_waits_keeps_its_cpu(tally, gate):
    @ray.remote(num_cpus=4)
    class Holder:
        def hold(self, signal):
            tally.add()
            ray.get(signal[0].wait.remote())

    signal = Signal.remote()
    holder = Holder.remote()
    ref = holder.hold.remote([signal])
    wait_until(lambda: tally.count() == 1)
    gate.open()
    blocked = enter.remote(tally, gate)
    assert ray.wait([blocked], timeout=0.3) == ([], [blocked])
    ray.get(signal.send.remote())
    ray.get(ref)
    ray.kill(holder)
    ray.get(blocked)


# --- environment ---


def test_threads_of_libraries_are_limited_to_the_cpus():
    @ray.remote
    def threads():
        return os.environ.get("OMP_NUM_THREADS")

    if "OMP_NUM_THREADS" not in os.environ:
        assert ray.get(threads.remote()) == "1"
        assert ray.get(threads.options(num_cpus=2).remote()) == "2"
        assert ray.get(threads.options(num_cpus=0.5).remote()) == "1"
