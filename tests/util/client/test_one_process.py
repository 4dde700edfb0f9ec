"""A server and its client in one process: each thread's calls go where they belong."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import ray
from ray._private.client_mode_hook import client_mode_should_convert, disable_client_hook, enable_client_mode
from ray.util.client.common import ClientObjectRef
from ray.util.client.ray_client_helpers import ray_start_client_server_pair


@pytest.fixture(scope="module")
def pair() -> Iterator[Any]:
    with ray_start_client_server_pair(ray_init_kwargs={"num_cpus": 2, "object_store_memory": 100 << 20}) as both:
        yield both


@ray.remote
def add(a: int, b: int = 1) -> int:
    return a + b


def test_the_same_function_is_called_through_the_client_and_directly(pair: Any) -> None:
    assert client_mode_should_convert()
    through = add.remote(1)
    assert isinstance(through, ClientObjectRef)
    assert ray.get(through) == 2
    with disable_client_hook():
        assert not client_mode_should_convert()
        direct = add.remote(2)
        assert not isinstance(direct, ClientObjectRef)
        assert ray.get(direct) == 3
        with enable_client_mode():
            assert ray.get(add.remote(3)) == 4


def test_each_thread_has_a_hook_of_its_own(pair: Any) -> None:
    seen: list[type] = []
    with disable_client_hook():
        thread = threading.Thread(target=lambda: seen.append(type(ray.put(1))))
        thread.start()
        thread.join()
        seen.append(type(ray.put(1)))
    assert seen == [ClientObjectRef, ray.ObjectRef]


def test_the_stub_is_an_api(pair: Any) -> None:
    client, _ = pair

    @client.remote
    class Pair:
        @client.method(num_returns=2)
        def get(self) -> tuple[int, int]:
            return 1, 2

    assert client.get(Pair.remote().get.remote()) == [1, 2]
    assert client.is_connected()
    assert client.get(client.put(5)) == 5


def test_the_server_lets_go_of_what_its_client_dropped(pair: Any) -> None:
    client, server = pair
    state = server.task_servicer.client(client.worker.client_id)
    ray.get(add.remote(1))
    before = len(state.objects)
    refs = [ray.put(number) for number in range(20)]
    nested = ray.get(ray.put([refs[0], refs[0]]))
    assert len(state.objects) >= before + 20
    del refs, nested
    from ray._private.test_utils import wait_for_condition

    wait_for_condition(lambda: len(state.objects) <= before, timeout=10)
