"""A value that is lost after it has come, before its reader looks: who waits goes on waiting until it comes again."""

import asyncio
import sys
import threading
import time

import pytest

import ray
from ray._core.worker import object_ref

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests
pytestmark = pytest.mark.usefixtures("cluster")
PATIENCE_S = 20


@ray.remote
def wait_for(path):
    while not path.exists():
        time.sleep(0.001)
    return path.name


class Losing:
    """Takes the values of objects away, as the loss of their nodes does, and has them come again."""

    def __init__(self, tmp_path):
        self.core = object_ref._core
        self.paths = [tmp_path / name for name in ("first", "second")]
        self.refs = [wait_for.remote(path) for path in self.paths]
        self._lost = None

    def is_waited_for(self, number):
        with self.core.lock:
            return bool(self.core.objects[self.refs[number].binary()].arrivals)

    def lose_first_when(self, condition):
        """At the moment at which it has come and `condition` holds (locked)."""
        self.paths[0].touch()
        while True:
            time.sleep(0.001)
            with self.core.lock:
                entry = self.core.objects[self.refs[0].binary()]
                if entry.value is not None and condition():
                    self._lost, entry.value = entry.value, None
                    return

    def make_again(self):
        with self.core.lock:
            self.core.refs.resolve(self.refs[0].binary(), self._lost)


@pytest.fixture
def losing(tmp_path):
    return Losing(tmp_path)


def in_thread(function):
    """Run it; the list gets what it returns or raises."""
    result = []

    def run():
        try:
            result.append(function())
        except Exception as error:
            result.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, result


@pytest.mark.parametrize("timeout_s", [None, PATIENCE_S])
@pytest.mark.parametrize("way", [ray.get, ray.wait])
def test_get_and_wait_wait_again(losing, way, timeout_s):
    options = {"num_returns": 2} if way is ray.wait else {}
    thread, result = in_thread(lambda: way(losing.refs, timeout=timeout_s, **options))
    losing.lose_first_when(lambda: losing.is_waited_for(1))
    losing.paths[1].touch()
    thread.join(0.3)
    assert not result, "the first value is not there"
    losing.make_again()
    thread.join(PATIENCE_S)
    assert result == [["first", "second"] if way is ray.get else (losing.refs, [])]


def lose_at_once(losing):
    """The value comes, and is lost before who waits for it can look."""
    losing.paths[1].touch()
    ray.get(losing.refs[1])
    key = losing.refs[0].binary()
    with losing.core.lock:
        losing.core.refs.resolve(key, losing.core.objects[losing.refs[1].binary()].value)
        losing.core.objects[key].value = None


def test_a_future_is_fulfilled_by_the_value_that_comes_again(losing):
    future = losing.refs[0].future()
    lose_at_once(losing)
    losing.paths[0].touch()
    assert future.result(PATIENCE_S) == "first"


def test_a_coroutine_gets_the_value_that_comes_again(losing):
    async def main():
        future = losing.refs[0].as_future()
        lose_at_once(losing)
        losing.paths[0].touch()
        return await asyncio.wait_for(future, PATIENCE_S)

    assert asyncio.run(main()) == "first"
