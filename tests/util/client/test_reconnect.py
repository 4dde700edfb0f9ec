"""A client whose connection breaks: nothing is lost, nothing is done twice; or it is told, and the server cleans up."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cutter import Cutter

import ray
from ray.util.client import settings

CALLS = 1000


@pytest.fixture(params=["specific-server", "proxy"])
def cutter(request: pytest.FixtureRequest, start_server: Callable[..., Any]) -> Iterator[Cutter]:
    """This process is a client of a server, through a network that the test can break."""
    server = start_server(request.param)
    cutter = Cutter(server.port)
    ray.init(f"ray://127.0.0.1:{cutter.port}", namespace="reconnect")
    yield cutter
    ray.shutdown()
    cutter.close()


@ray.remote(num_cpus=0)
class Counter:
    def __init__(self) -> None:
        self.count = 0
        self.seen: list[int] = []

    def increment(self, number: int) -> int:
        self.count += 1
        self.seen.append(number)
        return self.count

    def all_seen(self) -> list[int]:
        return self.seen

    def size_of(self, value: Any) -> int:
        self.count += 1
        return len(value)


def test_a_thousand_calls_through_a_network_that_breaks(cutter: Cutter) -> None:
    counter = Counter.remote()
    refs = []
    for number in range(CALLS):
        if number % 150 == 100:
            cutter.cut()
        refs.append(counter.increment.remote(number))
    assert ray.get(refs) == list(range(1, CALLS + 1))
    assert ray.get(counter.all_seen.remote()) == list(range(CALLS))


def test_calls_one_by_one_through_a_network_that_breaks(cutter: Cutter) -> None:
    counter = Counter.remote()
    for number in range(60):
        if number % 20 == 10:
            cutter.at(300, cutter.cut)  # somewhere in the middle of the next calls
        assert ray.get(counter.increment.remote(number)) == number + 1


def test_a_frozen_network_only_takes_time(cutter: Cutter) -> None:
    """Nothing passes for a while in the middle of the calls. RAY_TEST_FREEZE_S: how long."""
    counter = Counter.remote()
    refs = [counter.increment.remote(number) for number in range(CALLS // 2)]
    cutter.freeze()
    threading.Timer(float(os.environ.get("RAY_TEST_FREEZE_S", 2)), cutter.thaw).start()
    refs += [counter.increment.remote(number) for number in range(CALLS // 2, CALLS)]
    assert ray.get(refs) == list(range(1, CALLS + 1))
    assert ray.get(counter.all_seen.remote()) == list(range(CALLS))


def test_large_values_arrive_whole(cutter: Cutter) -> None:
    array = np.random.default_rng(7).integers(0, 255, 40_000_000, dtype=np.uint8)
    cutter.at(15_000_000, cutter.cut)
    ref = ray.put(array)
    cutter.at(15_000_000, cutter.cut)
    assert np.array_equal(ray.get(ref), array)
    counter = Counter.remote()
    cutter.at(15_000_000, cutter.cut)
    assert ray.get(counter.size_of.remote(array)) == len(array)
    assert ray.get(counter.increment.remote(1)) == 2


def test_waiting_calls_go_on(cutter: Cutter, tmp_path: Path) -> None:
    @ray.remote(num_cpus=0)
    def wait_for(path: str) -> str:
        import os
        import time

        while not os.path.exists(path):
            time.sleep(0.01)
        return "there"

    ref = wait_for.remote(str(tmp_path / "a"))
    future = wait_for.remote(str(tmp_path / "b")).future()
    got: list[Any] = []
    getter = threading.Thread(target=lambda: got.append((ray.wait([ref]), ray.get(ref))))
    getter.start()
    cutter.cut()
    assert ray.get(Counter.remote().increment.remote(1)) == 1  # we are connected again
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    getter.join(30)
    assert got == [(([ref], []), "there")]
    assert future.result(30) == "there"


def test_changes_of_the_key_value_table_are_made_once(cutter: Cutter) -> None:
    from ray.experimental import internal_kv

    for number in range(30):
        if number % 10 == 5:
            cutter.at(100, cutter.cut)
        key = f"once/{number}"
        assert internal_kv._internal_kv_put(key, b"1", overwrite=False) is False
        assert internal_kv._internal_kv_del(key) == 1


def test_the_grace_period_ends(start_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "RECONNECT_GRACE_PERIOD", 2)
    server = start_server("specific-server")
    cutter = Cutter(server.port)
    ray.init(f"ray://127.0.0.1:{cutter.port}", namespace="grace")
    counter = Counter.options(name="ends-with-its-session").remote()
    survivor = Counter.options(name="survivor", lifetime="detached").remote()
    assert ray.get([counter.increment.remote(1), survivor.increment.remote(1)]) == [1, 1]
    pending = counter.increment.remote(2)
    begun_s = time.monotonic()
    cutter.refuse()
    with pytest.raises(ConnectionError):
        while time.monotonic() - begun_s < 20:
            ray.get(counter.increment.remote(3))
    with pytest.raises(ConnectionError):
        ray.get(pending)
    assert time.monotonic() - begun_s < 15
    assert not ray.is_initialized()
    ray.shutdown()
    cutter.close()

    other = start_server("specific-server")
    ray.init(other.address, namespace="grace")
    deadline_s = time.monotonic() + 20
    while "ends-with-its-session" in ray.util.list_named_actors():
        assert time.monotonic() < deadline_s, "the server did not end the session of the client that had gone"
        threading.Event().wait(0.05)
    assert ray.get(ray.get_actor("survivor").increment.remote(2)) == 2
    ray.kill(ray.get_actor("survivor"))


def test_without_grace_the_first_cut_is_the_end(
    start_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "RECONNECT_GRACE_PERIOD", 0)
    server = start_server("specific-server")
    cutter = Cutter(server.port)
    ray.init(f"ray://127.0.0.1:{cutter.port}")
    counter = Counter.remote()
    assert ray.get(counter.increment.remote(1)) == 1
    cutter.cut()
    with pytest.raises(ConnectionError):
        for number in range(100):
            ray.get(counter.increment.remote(number))
    ray.shutdown()
    cutter.close()
