"""`ActorPool`. Source: Ray docs, "Utility Classes", Actor Pool."""

import os
import time

import pytest

import ray
from ray.util import ActorPool


@ray.remote(num_cpus=0)
class Worker:
    def double(self, x):
        return 2 * x

    def fail(self, x):
        raise ValueError(f"no {x}")

    def wait_for(self, path, x):
        while not os.path.exists(path):
            time.sleep(0.01)
        return x


@pytest.fixture
def actors(cluster):
    return [Worker.remote() for _ in range(2)]


@pytest.fixture
def gate(tmp_path):
    return tmp_path / "gate"


def double(actor, x):
    return actor.double.remote(x)


def fail(actor, x):
    return actor.fail.remote(x)


def test_map_gives_results_in_order_and_map_unordered_gives_all(actors):
    pool = ActorPool(actors)
    assert list(pool.map(double, range(10))) == list(range(0, 20, 2))
    assert sorted(pool.map_unordered(double, range(10))) == list(range(0, 20, 2))
    assert not pool.has_next()


def test_calls_wait_for_a_free_actor_and_come_back_in_order(actors, gate):
    pool = ActorPool(actors)
    pool.submit(lambda actor, x: actor.wait_for.remote(str(gate), x), "slow")
    pool.submit(double, 1)
    pool.submit(double, 2)
    assert not pool.has_free()
    assert pool.pop_idle() is None
    assert pool.get_next_unordered() == 2  # its actor is free for the third call now
    assert pool.get_next_unordered() == 4
    with pytest.raises(TimeoutError):
        pool.get_next_unordered(timeout=0)
    gate.touch()
    assert pool.get_next_unordered() == "slow"
    assert pool.has_free()
    with pytest.raises(StopIteration):
        pool.get_next_unordered()


def test_get_next_waits_for_the_oldest_call(actors, gate):
    pool = ActorPool(actors)
    pool.submit(lambda actor, x: actor.wait_for.remote(str(gate), x), "first")
    pool.submit(double, 1)
    with pytest.raises(TimeoutError):
        pool.get_next(timeout=0)
    gate.touch()
    assert [pool.get_next(), pool.get_next()] == ["first", 2]
    with pytest.raises(StopIteration):
        pool.get_next()


def test_a_late_result_can_be_given_up(actors, gate):
    pool = ActorPool(actors)
    pool.submit(lambda actor, x: actor.wait_for.remote(str(gate), x), "never read")
    pool.submit(double, 1)
    with pytest.raises(TimeoutError, match="ignored"):
        pool.get_next(timeout=0, ignore_if_timedout=True)
    assert pool.get_next() == 2
    assert not pool.has_next()
    gate.touch()


def test_get_next_is_refused_once_unordered_results_have_gone_past(actors, gate):
    pool = ActorPool(actors)
    pool.submit(lambda actor, x: actor.wait_for.remote(str(gate), x), "slow")
    pool.submit(double, 1)
    assert pool.get_next_unordered() == 2
    with pytest.raises(ValueError, match="not allowed"):
        pool.get_next()
    gate.touch()
    assert pool.get_next_unordered() == "slow"


def test_an_error_frees_its_actor(actors):
    pool = ActorPool(actors[:1])
    pool.submit(fail, 1)
    pool.submit(double, 1)
    with pytest.raises(ValueError, match="no 1"):
        pool.get_next()
    assert pool.get_next() == 2
    with pytest.raises(ValueError, match="no 3"):
        list(pool.map(fail, [3]))
    assert list(pool.map(double, [4])) == [8]


def test_map_forgets_what_was_not_fetched(actors):
    pool = ActorPool(actors[:1])
    pool.submit(double, 1)
    assert list(pool.map(double, [2])) == [4]


def test_actors_join_and_leave(actors):
    pool = ActorPool([])
    pool.submit(double, 1)
    assert not pool.has_next()
    pool.push(actors[0])  # starts the waiting call
    with pytest.raises(ValueError, match="already belongs"):
        pool.push(actors[0])
    assert pool.get_next() == 2
    pool.push(actors[1])
    with pytest.raises(ValueError, match="already belongs"):
        pool.push(actors[1])
    assert {pool.pop_idle(), pool.pop_idle(), pool.pop_idle()} == {*actors, None}
    assert not pool.has_free()


def test_map_submits_all_calls_at_once(actors, tmp_path):
    pool = ActorPool(actors)
    results = pool.map(double, [1, 2])
    assert pool.has_next()
    assert list(results) == [2, 4]
