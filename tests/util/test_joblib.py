"""The joblib backend. Source: Ray docs, "Distributed Scikit-learn / Joblib"."""

import os

import pytest

import ray
from ray.util.joblib import register_ray

INIT = {"resources": {"special": 2}}
joblib = pytest.importorskip("joblib")


def square(x):
    return x * x


def pid(_):
    return os.getpid()


def fail_at_3(x):
    if x == 3:
        raise KeyError("three")
    return x


@pytest.fixture(autouse=True)
def registered(cluster):
    register_ray()


def test_calls_run_in_processes_of_the_cluster():
    with joblib.parallel_backend("ray"):
        assert joblib.Parallel()(joblib.delayed(square)(x) for x in range(50)) == [x * x for x in range(50)]
        pids = set(joblib.Parallel(n_jobs=2, batch_size=1)(joblib.delayed(pid)(x) for x in range(20)))
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_as_many_jobs_as_the_cluster_has_cpus():
    with joblib.parallel_backend("ray"):
        assert joblib.effective_n_jobs(-1) == 4
        assert joblib.effective_n_jobs(3) == 3
    with joblib.parallel_backend("ray", n_jobs=2):
        assert joblib.Parallel()(joblib.delayed(square)(x) for x in range(3)) == [0, 1, 4]


def test_an_error_is_raised_as_it_is():
    with joblib.parallel_backend("ray"), pytest.raises(KeyError, match="three"):
        joblib.Parallel(n_jobs=2)(joblib.delayed(fail_at_3)(x) for x in range(6))


def test_options_of_the_actors():
    with joblib.parallel_backend("ray", ray_remote_args={"resources": {"special": 1}}, n_jobs=2):
        assert joblib.Parallel()(joblib.delayed(square)(x) for x in range(3)) == [0, 1, 4]


def test_one_job_needs_no_process():
    with joblib.parallel_backend("ray", n_jobs=1):
        assert joblib.Parallel()(joblib.delayed(pid)(x) for x in range(2)) == [os.getpid()] * 2
    assert ray.is_initialized()
