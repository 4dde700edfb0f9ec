"""Tasks as users write them, on a real cluster (docs: "Tasks", "Objects")."""

import os
import signal

import numpy as np
import pytest

import ray

pytestmark = pytest.mark.usefixtures("cluster")


@ray.remote
def add(a, b=0):
    return a + b


@ray.remote
def fail():
    raise KeyError("no such thing")


def test_values_refs_and_keywords_are_arguments():
    assert ray.get(add.remote(1, b=add.remote(2, 3))) == 6


def test_ten_thousand_tasks_come_back_in_order():
    assert ray.get([add.remote(number) for number in range(10_000)]) == list(range(10_000))


def test_several_returns_are_several_refs():
    @ray.remote(num_returns=3)
    def three():
        return 1, 2, 3

    assert ray.get(three.remote()) == [1, 2, 3]
    assert add.options(num_returns=0).remote(1) is None


def test_another_number_of_returns_is_an_error_of_every_ref():
    for ref in add.options(num_returns=2).remote([1], [2, 3]):
        with pytest.raises(ValueError, match="num_returns=2"):
            ray.get(ref)


def test_an_error_is_of_the_users_class_and_of_rays():
    with pytest.raises(KeyError) as caught:
        ray.get(fail.remote())
    assert isinstance(caught.value, ray.exceptions.RayTaskError)
    assert isinstance(caught.value.cause, KeyError)
    assert "fail" in str(caught.value) and "no such thing" in str(caught.value)


def test_a_failed_argument_fails_the_task_with_the_same_class():
    with pytest.raises(KeyError) as caught:
        ray.get(add.remote(fail.remote()))
    assert "input arguments" in str(caught.value)


def test_an_exception_that_cannot_be_pickled_arrives_as_text():
    class Odd(Exception):
        def __reduce__(self):
            raise TypeError("never")

    @ray.remote
    def odd():
        raise Odd("what it said")

    with pytest.raises(ray.exceptions.RayTaskError, match="what it said"):
        ray.get(odd.remote())


def test_a_hundred_deep_recursion_ends_on_two_cpus():
    @ray.remote
    def depth(n):
        return 0 if n == 0 else 1 + ray.get(recurse.remote(n - 1))

    recurse = depth
    assert ray.get(depth.remote(100)) == 100


def test_refs_inside_values_stay_refs_and_stay_alive():
    @ray.remote
    def nested():
        return [ray.put(np.arange(100_000)), ray.put("small")]

    array, text = ray.get(nested.remote())
    assert ray.get(text) == "small"
    assert ray.get(array).sum() == 4999950000


def test_a_borrower_may_keep_a_ref_beyond_the_task():
    kept = []

    @ray.remote
    def keep(refs):
        kept.extend(refs)
        return os.getpid()

    @ray.remote
    def through(refs):
        return ray.get(refs[0])

    ref = ray.put("value")
    ray.get(keep.remote([ref]))
    assert ray.get(through.remote([ref])) == "value"


def test_large_arrays_are_read_only_views():
    array = np.arange(1 << 20)
    back = ray.get(ray.put(array))
    np.testing.assert_array_equal(back, array)
    assert not back.flags.writeable
    np.testing.assert_array_equal(ray.get(add.remote(array, 1)), array + 1)


def test_the_store_is_used_again_when_objects_go():
    for number in range(40):  # 40 times 32 MiB in a store of 256
        assert ray.get(ray.put(np.full(4 << 20, number)))[0] == number


def test_an_object_beyond_the_store_goes_to_disk():
    array = np.arange(300 << 17)
    assert (ray.get(ray.put(array)) == array).all()


def test_wait_tells_ready_from_not_ready():
    @ray.remote
    def wait_for(path):
        while not os.path.exists(path):
            os.sched_yield()
        return path

    path = f"/dev/shm/pure-ray-test-{os.getpid()}"
    slow, quick = wait_for.remote(path), add.remote(1)
    try:
        assert ray.wait([slow, quick]) == ([quick], [slow])
        assert ray.wait([slow], timeout=0) == ([], [slow])
        with pytest.raises(TimeoutError):
            ray.get(slow, timeout=0.01)
    finally:
        open(path, "w").close()
    assert ray.get(slow) == path
    os.unlink(path)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda ref: ray.get((ref,)), ValueError),
        (lambda ref: ray.get([1]), TypeError),
        (lambda ref: ray.put(ref), TypeError),
        (lambda ref: ray.wait(ref), TypeError),
        (lambda ref: ray.wait([ref, ref]), ValueError),
        (lambda ref: ray.wait([ref], num_returns=2), ValueError),
        (lambda ref: ray.wait([ref], timeout=-1), ValueError),
        (lambda ref: add(1), TypeError),
        (lambda ref: add.remote(), TypeError),
        (lambda ref: add.remote(a_lock()), TypeError),
        (lambda ref: add.options(num_cpus=-1), ValueError),
        (lambda ref: add.options(num_gpus="one"), TypeError),
        (lambda ref: add.options(nonsense=1), ValueError),
        (lambda ref: add.options(resources={"CPU": 1}), ValueError),
    ],
)
def test_bad_input_is_refused_at_the_call(call, error):
    with pytest.raises(error):
        call(ray.put(1))


def a_lock():
    import threading

    return threading.Lock()


def test_a_lost_worker_costs_a_retry_and_no_task():
    @ray.remote
    def pid(number):
        return number, os.getpid()

    first = ray.get(pid.remote(0))[1]
    refs = [pid.remote(number) for number in range(10_000)]
    os.kill(first, signal.SIGKILL)
    assert [number for number, _ in ray.get(refs)] == list(range(10_000))


def test_a_task_that_ends_its_process_fails_when_no_retry_is_left():
    @ray.remote(max_retries=1)
    def leave():
        os._exit(3)

    with pytest.raises(ray.exceptions.WorkerCrashedError, match="Attempts: 2"):
        ray.get(leave.remote())


def test_retry_exceptions_runs_again_until_it_works(tmp_path):
    @ray.remote(retry_exceptions=[OSError], max_retries=5)
    def flaky(path):
        with open(path, "a") as file:
            file.write("x")
        if os.path.getsize(path) < 3:
            raise OSError("not yet")
        return os.path.getsize(path)

    assert ray.get(flaky.remote(str(tmp_path / "tries"))) == 3


def test_resources_are_taken_and_given_back():
    @ray.remote(num_cpus=2)
    def both():
        return ray.available_resources().get("CPU", 0)

    assert ray.cluster_resources()["CPU"] == 2
    assert ray.get(both.remote()) == 0
    assert len(ray.nodes()) == 1 and ray.nodes()[0]["Alive"]


def test_a_ref_can_be_awaited():
    import asyncio

    async def main():
        return await asyncio.gather(*(add.remote(number) for number in range(10)))

    assert asyncio.run(main()) == list(range(10))
