"""`ray.util.multiprocessing.Pool`. Source: Ray docs, "Distributed multiprocessing.Pool"."""

import itertools
import multiprocessing
import os
import queue
import time

import pytest

import ray
from ray.util.multiprocessing import Pool, TimeoutError

value_of_initializer = None


def double(x):
    return 2 * x


def add(x, y=100):
    return x + y


def fail_at_3(x):
    if x == 3:
        raise ValueError("no 3")
    return x


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.01)
    return "passed"


def pid(_):
    return os.getpid()


def set_value(value):
    global value_of_initializer
    value_of_initializer = value


def get_value(_):
    return value_of_initializer


@pytest.fixture(scope="module")
def pool(cluster):
    with Pool(2) as it:
        yield it


def test_map_and_its_kin(pool):
    assert pool.map(double, range(10)) == list(range(0, 20, 2))
    assert pool.map(double, (x for x in range(3)), chunksize=2) == [0, 2, 4]
    assert pool.map(double, []) == []
    assert pool.starmap(add, [(1, 2), (3,)]) == [3, 103]
    assert pool.starmap_async(add, [(1, 2)]).get() == [3]
    assert pool.apply(add, (1,), {"y": 2}) == 3
    assert pool.apply(add, args=[1]) == 101
    captured = 5
    assert pool.map(lambda x: x + captured, [1]) == [6]


def test_the_work_is_spread_over_the_processes(pool):
    assert len(set(pool.map(pid, range(20)))) == 2
    assert os.getpid() not in pool.map(pid, range(20))


def test_errors_are_raised_as_they_are(pool):
    with pytest.raises(ValueError, match="no 3"):
        pool.map(fail_at_3, range(5))
    with pytest.raises(ValueError, match="no 3"):
        pool.apply(fail_at_3, (3,))
    result = pool.map_async(fail_at_3, range(5))
    result.wait()
    assert result.ready()
    assert not result.successful()


def test_a_result_that_is_not_there_yet(pool, tmp_path):
    gate = tmp_path / "gate"
    result = pool.apply_async(wait_for, (str(gate),))
    with pytest.raises(TimeoutError):
        result.get(timeout=0.01)
    result.wait(timeout=0.01)
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    gate.touch()
    assert result.get(timeout=30) == "passed"
    assert result.ready() and result.successful()
    assert TimeoutError is multiprocessing.TimeoutError


def test_callbacks_are_called_once(pool):
    said = queue.Queue()
    pool.map_async(double, range(5), callback=said.put, error_callback=said.put)
    assert sorted(said.get(timeout=30)) == [0, 2, 4, 6, 8]
    pool.apply_async(double, (5,), callback=said.put)
    assert said.get(timeout=30) == 10
    result = pool.map_async(fail_at_3, [3, 3, 1], callback=said.put, error_callback=said.put)
    assert isinstance(said.get(timeout=30), Exception)
    result.wait()
    assert said.empty()


def test_imap_gives_results_in_order_and_errors_in_their_places(pool):
    assert list(pool.imap(double, range(10))) == list(range(0, 20, 2))
    assert list(pool.imap(double, range(10), chunksize=3)) == list(range(0, 20, 2))
    assert sorted(pool.imap_unordered(double, range(10), chunksize=3)) == list(range(0, 20, 2))
    results = list(pool.imap(fail_at_3, range(5)))
    assert isinstance(results.pop(3), Exception)
    assert results == [0, 1, 2, 4]
    assert list(pool.imap(double, [])) == []


def test_imap_takes_inputs_as_results_are_taken(pool):
    taken = []

    def endless():
        for x in itertools.count():
            taken.append(x)
            yield x

    results = pool.imap(double, endless())
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    assert len(taken) == 5


def test_imap_has_a_time_limit(pool, tmp_path):
    gate = tmp_path / "gate"
    results = pool.imap(wait_for, [str(gate)])
    with pytest.raises(TimeoutError):
        results.next(timeout=0.01)
    gate.touch()
    assert results.next(timeout=30) == "passed"
    with pytest.raises(StopIteration):
        results.next()
    ready_first = pool.imap_unordered(wait_for, [str(tmp_path / "other"), str(gate)])
    assert ready_first.next(timeout=30) == "passed"
    (tmp_path / "other").touch()
    assert ready_first.next(timeout=30) == "passed"


def test_wrong_arguments(pool):
    with pytest.raises(TypeError):
        pool.map(double, 5)
    with pytest.raises(TypeError):
        pool.map(5, [1])
    with pytest.raises(TypeError):
        pool.starmap(add, [1, 2])


def test_the_number_of_processes_is_checked(cluster):
    for wrong in (0, -1, 9):
        with pytest.raises(ValueError, match="rocesses"):
            Pool(wrong)
    Pool(1, context="spawn").terminate()  # accepted, and ignored


def test_each_process_is_initialized(cluster):
    with Pool(2, initializer=set_value, initargs=(7,)) as pool:
        assert pool.map(get_value, range(4)) == [7] * 4
    with pytest.raises(ray.exceptions.RayActorError):
        Pool(1, initializer=fail_at_3, initargs=(3,))


def test_a_process_is_replaced_after_so_many_tasks(cluster):
    pool = Pool(1, maxtasksperchild=2)
    assert len(set(pool.map(pid, range(6), chunksize=1))) == 3
    pool.terminate()


def test_a_closed_pool_takes_nothing_more_and_ends_what_it_has(cluster, tmp_path):
    pool = Pool(1)
    with pytest.raises(ValueError, match="still running"):
        pool.join()
    result = pool.map_async(double, range(5))
    pool.close()
    for call in (lambda: pool.map(double, [1]), lambda: pool.apply_async(double), lambda: pool.imap(double, [1])):
        with pytest.raises(ValueError, match="not running"):
            call()
    pool.join()
    assert result.get() == [0, 2, 4, 6, 8]
    pool.close()
    pool.join()


def test_a_terminated_pool_ends_at_once(cluster, tmp_path):
    pool = Pool(1)
    result = pool.apply_async(wait_for, (str(tmp_path / "never"),))
    pool.terminate()
    with pytest.raises(ray.exceptions.RayActorError):
        result.get(timeout=30)
    pool.join()


def test_the_pool_is_as_large_as_the_cluster_and_takes_options_of_actors(cluster):
    with Pool() as pool:
        assert len(pool._actor_pool) == 4
    with Pool(2, ray_remote_args={"num_cpus": 2}) as pool:
        assert pool.map(double, [1, 2]) == [2, 4]
