"""Large values go by the bulk connection where there is one, and arrive the same without it."""

import socket
from typing import Any

import numpy as np
import pytest
from servers import Server

import ray
from ray._core.wire import auth
from ray._private.test_utils import wait_for_condition
from ray.util.client import bulk

pytestmark = pytest.mark.usefixtures("connected")


@pytest.fixture
def worker() -> Any:
    worker = ray.util.client.ray.worker
    if not worker.bulk.is_open:  # a test before this one closed it
        worker.connection_info()
    wait_for_condition(lambda: worker.bulk.is_open, timeout=20)
    return worker


@ray.remote
def total(value: Any) -> int:
    return int(sum(int(part.sum()) for part in value))


def test_arrays_go_by_it_both_ways(worker: Any) -> None:
    value = [np.arange(300_000), np.ones((500, 500)), "and small things"]
    before = worker.bulk._last_number
    ref = ray.put(value)
    assert worker.bulk._last_number == before + 1
    got = ray.get(ref)
    assert worker.bulk._last_number == before + 2
    assert np.array_equal(got[0], value[0]) and np.array_equal(got[1], value[1]) and got[2] == value[2]
    assert not got[0].flags.writeable  # as without a client
    assert ray.get(total.remote(ray.put(value[:2]))) == int(value[0].sum()) + 250_000


def test_bytes_go_by_it(worker: Any) -> None:
    value = bytes(range(256)) * 20_000
    ref = ray.put(value)
    assert ray.get(ref) == value
    assert ray.get([ref, ref]) == [value, value]


def test_values_with_refs_go_the_other_way(worker: Any) -> None:
    inner = ray.put(1)
    value = ray.get(ray.put([np.zeros(500_000), inner]))
    assert ray.get(value[1]) == 1


def test_small_values_do_not_use_it(worker: Any) -> None:
    before = worker.bulk._last_number
    assert ray.get(ray.put(b"small")) == b"small"
    assert worker.bulk._values == {}
    assert worker.bulk._last_number - before <= 2


def test_without_it_all_goes_by_grpc(worker: Any) -> None:
    array = np.arange(1_000_000)
    first = ray.put(array)
    worker.bulk.close()
    assert not worker.bulk.is_open
    assert np.array_equal(ray.get(first), array)
    assert np.array_equal(ray.get(ray.put(array)), array)


def test_it_breaks_in_the_middle(worker: Any) -> None:
    """The server waits for the rest of a value, does not get it, and goes on; the client sends it the other way."""
    array = np.arange(1_000_000)
    number = worker.bulk.number()
    frame = bulk.Frame(number, bulk.PICKLE, 100, (array.nbytes,))
    worker.bulk._sock.sendall(bulk.encode(frame) + bytes(200))
    worker.bulk.close()
    assert np.array_equal(ray.get(ray.put(array)), array)
    worker.connection_info()
    wait_for_condition(lambda: worker.bulk.is_open, timeout=20)
    assert np.array_equal(ray.get(ray.put(array)), array)


def test_strangers_are_refused(worker: Any, shared_server: Server) -> None:
    host, port = worker.bulk._sock.getpeername()
    with socket.create_connection((host, port), timeout=20) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n".ljust(auth.CLIENT_HELLO_SIZE))
        assert stranger.recv(100) == b""
    assert np.array_equal(ray.get(ray.put(np.arange(500_000))), np.arange(500_000))
