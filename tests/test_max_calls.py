"""`max_calls` on real processes: a worker ends after so many runs, and nothing is lost with it."""

import os
import sys
import time

import numpy as np
import pytest
from polling import wait_until

import ray

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests
pytestmark = pytest.mark.usefixtures("cluster")


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@ray.remote(max_calls=1)
def once():
    return os.getpid()


@ray.remote(max_calls=3)
def thrice():
    return os.getpid()


def test_a_worker_ends_after_one_run():
    pids = ray.get([once.remote() for _ in range(20)])
    assert len(set(pids)) == 20
    wait_until(lambda: all(map(is_gone, pids)))


def test_a_worker_runs_a_function_no_more_often_than_told():
    pids = ray.get([thrice.remote() for _ in range(60)])
    assert max(pids.count(pid) for pid in set(pids)) <= 3
    wait_until(lambda: sum(map(is_gone, set(pids))) >= 18)


def test_other_functions_do_not_count():
    @ray.remote
    def other():
        return os.getpid()

    pid = ray.get(other.remote())
    assert ray.get([other.remote() for _ in range(20)])
    assert not is_gone(pid)


def test_results_outlive_their_worker():
    @ray.remote(max_calls=1)
    def make():
        return os.getpid(), np.arange(200_000)

    refs = [make.remote() for _ in range(5)]
    values = ray.get(refs)
    wait_until(lambda: all(is_gone(pid) for pid, _ in values))
    assert all(ray.get(ref)[1][-1] == 199_999 for ref in refs)


def test_a_worker_stays_as_long_as_others_need_what_it_owns():
    @ray.remote(max_calls=1)
    def lend():
        return os.getpid(), ray.put(np.arange(200_000))

    pid, inner = ray.get(lend.remote())
    time.sleep(0.2)
    assert not is_gone(pid)
    assert ray.get(inner)[-1] == 199_999
    del inner
    wait_until(lambda: is_gone(pid))


def test_children_end_before_their_parents_worker_does(tmp_path):
    @ray.remote
    def child():
        time.sleep(0.3)
        (tmp_path / "done").touch()

    @ray.remote(max_calls=1)
    def parent():
        child.remote()
        return os.getpid()

    pid = ray.get(parent.remote())
    wait_until((tmp_path / "done").exists)
    wait_until(lambda: is_gone(pid))


def test_failed_runs_and_generators_count_too():
    @ray.remote(max_calls=1, max_retries=0)
    def fail():
        raise ValueError(os.getpid())

    @ray.remote(max_calls=1)
    def stream():
        yield os.getpid()

    pids = []
    for _ in range(3):
        with pytest.raises(ValueError) as caught:
            ray.get(fail.remote())
        pids.append(caught.value.cause.args[0])
        pids += [ray.get(ref) for ref in stream.remote()]
    assert len(set(pids)) == 6
    wait_until(lambda: all(map(is_gone, pids)))


def test_other_options_keep_the_limit():
    function = once.options(name="renamed")
    assert len({ray.get(function.remote()) for _ in range(4)}) == 4
