"""What a program does through Ray Client: tasks, objects, actors, the cluster. Source: Ray docs, "Ray Client"."""

import asyncio
import gc
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ray
from ray._private.test_utils import wait_for_condition
from ray.experimental import internal_kv
from ray.util.client.common import ClientActorHandle, ClientObjectRef

pytestmark = pytest.mark.usefixtures("connected")


@ray.remote
def add(a: int, b: int = 1) -> int:
    return a + b


@ray.remote
def echo(value: Any) -> Any:
    return value


@ray.remote
def fail() -> None:
    raise ValueError("on purpose")


@ray.remote(timeout=0.3)
def oversleep() -> None:
    time.sleep(60)


@ray.remote
class Counter:
    def __init__(self, start: int = 0) -> None:
        self.count = start

    def increment(self, by: int = 1) -> int:
        self.count += by
        return self.count

    @ray.method(num_returns=2)
    def pair(self) -> tuple[int, int]:
        return self.count, -self.count


# ------------------------------------------------------------------ tasks and objects


def test_a_call_may_have_a_timeout():
    with pytest.raises(ray.exceptions.TaskTimeoutError, match=r"oversleep did not end within its timeout of 0\.3 s"):
        ray.get(oversleep.remote(), timeout=20)
    counter = Counter.remote()
    held = oversleep.options(timeout=None).remote()
    with pytest.raises(ray.exceptions.TaskTimeoutError, match="waiting for arguments"):
        ray.get(counter.increment.options(timeout=0.3).remote(held), timeout=20)
    ray.cancel(held)
    assert ray.get(counter.increment.remote(), timeout=20) == 1


def test_a_call_returns_a_ref_at_once_and_get_gives_the_value() -> None:
    ref = add.remote(1, b=2)
    assert isinstance(ref, ClientObjectRef)
    assert isinstance(ref, ray.ObjectRef)
    assert repr(ref) == f"ClientObjectRef({ref.hex()})"
    assert len(ref.binary()) == 28
    assert ray.get(ref) == 3
    assert ray.get([ref, add.remote(ref)]) == [3, 4]
    assert ray.get([]) == []


def test_options_reach_the_server() -> None:
    assert ray.get(add.options(num_cpus=0.5, name="named").remote(1)) == 2
    assert add.options(num_returns=0).remote(1) is None
    first, second = echo.options(num_returns=2).remote([1, 2])
    assert ray.get([second, first]) == [2, 1]


def test_values_hold_refs_and_handles() -> None:
    ref, counter = add.remote(1), Counter.remote()
    value = ray.get(echo.remote({"ref": [ref], "counter": counter}))
    assert value["ref"] == [ref]
    assert ray.get(value["ref"][0]) == 2
    assert value["counter"] == counter
    assert ray.get(value["counter"].increment.remote()) == 1


def test_put_and_get_in_many_pieces() -> None:
    array = np.arange(3_000_000)
    assert np.array_equal(ray.get(ray.put(array)), array)
    assert int(ray.get(echo.remote(array)).sum()) == int(array.sum())


def test_errors_of_tasks_arrive_as_in_the_core() -> None:
    with pytest.raises(ValueError, match="on purpose") as caught:
        ray.get(fail.remote())
    assert isinstance(caught.value, ray.exceptions.RayTaskError)
    with pytest.raises(ValueError, match="on purpose"):
        ray.get(echo.remote(fail.remote()))


def test_wrong_arguments_are_told_here() -> None:
    with pytest.raises(TypeError):
        add.remote(1, 2, 3)
    with pytest.raises(TypeError):
        Counter.remote(1, 2)
    with pytest.raises(TypeError):
        Counter.remote().increment.remote(1, 2)
    with pytest.raises(TypeError, match="lock"):
        echo.remote(threading.Lock())


def test_functions_call_functions_and_themselves() -> None:
    @ray.remote
    def factorial(n: int, one: int = 1) -> int:
        return one if n == 0 else n * ray.get(factorial.remote(n - 1))

    @ray.remote
    def nested() -> list[int]:
        return ray.get([add.remote(1), Counter.remote(1).increment.remote()])

    assert ray.get(factorial.remote(4)) == 24
    assert ray.get(nested.remote()) == [2, 2]


def test_get_gives_up_after_its_timeout() -> None:
    @ray.remote
    def forever() -> None:
        threading.Event().wait()

    ref = forever.options(num_cpus=0).remote()
    begun_s = time.monotonic()
    with pytest.raises(ray.exceptions.GetTimeoutError):
        ray.get(ref, timeout=0.3)
    assert time.monotonic() - begun_s < 2
    ready, waiting = ray.wait([ref, add.remote(1)], timeout=20)
    assert (len(ready), waiting) == (1, [ref])
    assert ray.wait([ref], timeout=0.1) == ([], [ref])


def test_wait_checks_its_arguments() -> None:
    ref = add.remote(1)
    for wrong in (ref, (ref,), [3]):
        with pytest.raises(TypeError):
            ray.wait(wrong)
    for wrong_list, options in (([ref, ref], {}), ([ref], {"num_returns": 2}), ([ref], {"timeout": -1})):
        with pytest.raises(ValueError):
            ray.wait(wrong_list, **options)
    assert ray.wait([]) == ([], [])


def test_what_is_no_ref_is_refused() -> None:
    with pytest.raises(TypeError, match="'put' on an ObjectRef"):
        ray.put(add.remote(1))
    for wrong in (3, [3]):
        with pytest.raises(TypeError):
            ray.get(wrong)
    with pytest.raises(ValueError, match="only supported for actors"):
        ray.kill(add.remote(1))
    with pytest.raises(TypeError, match="only supported for object refs"):
        ray.cancel(Counter.remote())


def test_refs_can_be_awaited_and_called_back() -> None:
    async def both() -> list[Any]:
        return list(await asyncio.gather(add.remote(1), add.remote(2)))

    assert asyncio.run(both()) == [2, 3]
    assert add.remote(3).future().result(20) == 4
    with pytest.raises(ValueError, match="on purpose"):
        fail.remote().future().result(20)
    called: list[Any] = []
    done = threading.Event()
    add.remote(4)._on_completed(lambda value: (called.append(value), done.set()))
    assert done.wait(20)
    assert called == [5]


# ------------------------------------------------------------------ actors


def test_actors_keep_state_and_order() -> None:
    counter = Counter.options(num_cpus=0).remote(10)
    assert isinstance(counter, ClientActorHandle)
    assert ray.get([counter.increment.remote() for _ in range(20)])[-1] == 30
    assert ray.get(counter.pair.remote()) == [30, -30]
    assert dir(counter) == ["__init__", "__ray_call__", "__ray_ready__", "__ray_terminate__", "increment", "pair"]
    with pytest.raises(AttributeError, match="'nothing'"):
        counter.nothing  # noqa: B018


def test_named_actors_are_found() -> None:
    made = Counter.options(name="counted", num_cpus=0).remote(1)
    found = ray.get_actor("counted")
    assert found == made
    assert ray.get(found.increment.remote(by=2)) == 3
    assert ray.get(found.pair.remote()) == [3, -3]
    assert "counted" in ray.util.list_named_actors()
    assert {"name": "counted", "namespace": "client-tests"} in ray.util.list_named_actors(all_namespaces=True)
    with pytest.raises(ValueError):
        ray.get_actor("nobody")


def test_a_killed_actor_is_dead() -> None:
    counter = Counter.options(num_cpus=0).remote()
    assert ray.get(counter.increment.remote()) == 1
    ray.kill(counter)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(counter.increment.remote())


# ------------------------------------------------------------------ the cluster


def test_the_cluster_is_described() -> None:
    assert ray.is_initialized()
    assert ray.cluster_resources()["CPU"] == 4
    assert ray.available_resources()["memory"] > 0
    assert [node["Alive"] for node in ray.nodes()] == [True]
    here = ray.get_runtime_context()
    assert here.namespace == "client-tests"
    assert here.get_node_id() == ray.nodes()[0]["NodeID"]
    assert here.get_job_id() == here.job_id.hex()
    assert ray.get_gpu_ids() == []


def test_the_key_value_table_is_shared() -> None:
    assert internal_kv._internal_kv_put(b"client/a", b"1") is False
    assert internal_kv._internal_kv_put("client/a", "2", overwrite=False) is True
    assert internal_kv._internal_kv_get(b"client/a") == b"1"
    assert internal_kv._internal_kv_get(b"client/none") is None
    assert internal_kv._internal_kv_exists(b"client/a")
    assert internal_kv._internal_kv_list(b"client/") == [b"client/a"]
    assert internal_kv._internal_kv_del(b"client/a") == 1


def test_other_names_are_refused_by_name() -> None:
    with pytest.raises(NotImplementedError, match=r"Not available in Ray client: `ray\.nothing`"):
        ray.util.client.ray.nothing  # noqa: B018


def test_connecting_twice_is_an_error(shared_server: Any) -> None:
    with pytest.raises(RuntimeError, match="Ray Client is already connected"):
        ray.init(shared_server.address)
    again = ray.init(shared_server.address, ignore_reinit_error=True)
    assert again.ray_version == ray.__version__


def test_a_client_asks_why_its_ref_waits() -> None:
    impossible = add.options(resources={"unobtainium": 1}).remote(1)
    ref = echo.remote(impossible)

    def is_told() -> bool:
        return "1 unobtainium, which no node can hold" in ray.util.explain(ref)

    wait_for_condition(is_told, timeout=20)
    ray.cancel(impossible)


# ------------------------------------------------------------------ what the server holds


def test_dropped_refs_are_released() -> None:
    worker = ray.util.client.ray.worker
    refs = [ray.put(number) for number in range(10)]
    assert len(worker._refs) >= 10  # and what other tests have just dropped
    del refs

    def is_released() -> bool:
        gc.collect()
        ray.get(add.remote(1))  # takes the word of it along
        return len(worker._refs) <= 1

    wait_for_condition(is_released, timeout=20)


def test_what_is_printed_and_logged_for_this_client_comes_here(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    @ray.remote
    def speak() -> None:
        import sys

        print("said to stdout")
        print("said to stderr", file=sys.stderr)

    @ray.remote
    def fail(path: Path) -> None:
        path.touch()
        raise ValueError("nobody looks at this")

    @ray.remote(max_retries=0)
    def die() -> None:
        import os

        os._exit(3)

    ref = fail.remote(tmp_path / "ran")
    ray.get(speak.remote())
    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(die.remote())
    wait_for_condition((tmp_path / "ran").exists, timeout=20)
    del ref
    said, complained = "", ""

    def is_all_there() -> bool:
        nonlocal said, complained
        out, err = capsys.readouterr()
        said, complained = said + out, complained + err
        told = "Unhandled error" in caplog.text and "nobody looks at this" in caplog.text
        return told and "said to stderr" in complained and "said to stdout" in said and "SYSTEM_ERROR" in said

    wait_for_condition(is_all_there, timeout=30)
