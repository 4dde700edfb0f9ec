"""What a type checker must accept, and what it must find out. Checked, never run: see test_typing.py."""

from collections.abc import Iterator
from typing import Any, assert_type

import ray
from ray import ObjectRef


@ray.remote
def double(x: int) -> int:
    return 2 * x


@ray.remote
def join(left: str, right: str = "") -> str:
    return left + right


@ray.remote
def nothing() -> None: ...


@ray.remote(num_cpus=2, max_retries=0)
def half(x: float) -> float:
    return x / 2


@ray.remote(num_returns=2)
def pair(x: int) -> tuple[int, int]:
    return x, x


@ray.remote
def keyword(*, x: int) -> int:
    return x


@ray.remote
def untyped(x, y):  # type: ignore[no-untyped-def]
    return x


class PlainCounter:
    def __init__(self, start: int) -> None:
        self.value = start

    def add(self, amount: int) -> int:
        return self.value + amount


class PlainIdle:
    pass


# mypy does not look at decorators of classes; as calls they are checked.
Counter = ray.remote(PlainCounter)
Idle = ray.remote(num_cpus=1)(PlainIdle)


def plain(x: int) -> int:
    return x


def tasks() -> None:
    ref = double.remote(1)
    assert_type(ref, ObjectRef[int])
    assert_type(double.remote(ref), ObjectRef[int])
    assert_type(ray.get(ref), int)
    assert_type(ray.get([ref, ref], timeout=1.0), list[int])
    assert_type(join.remote("a"), ObjectRef[str])
    assert_type(join.remote("a", ray.put("b")), ObjectRef[str])
    assert_type(join.remote("a", right="b"), ObjectRef[str])
    assert_type(nothing.remote(), ObjectRef[None])
    assert_type(half.remote(1.0), ObjectRef[float])
    assert_type(keyword.remote(x=1), ObjectRef[int])
    one, two = pair.remote(1)
    print(one, two)
    untyped.remote(1, "a")
    double.options(num_cpus=2).remote(1)
    assert_type(ray.remote(plain).remote(1), ObjectRef[int])
    assert_type(ray.put("b"), ObjectRef[str])
    ray.get([ref, join.remote("a")])
    ray.wait([ref, join.remote("a")])
    ready, _ = ray.wait([ref], num_returns=1, timeout=0)
    assert_type(ready, list[ObjectRef[int]])


async def awaiting() -> None:
    assert_type(await double.remote(1), int)


def actors() -> None:
    counter = Counter.remote(1)
    named = Counter.options(name="c").remote(1)
    value: Any = ray.get(counter.add.remote(1))
    counter.add.options(num_returns=1).remote(value)
    same: list[ray.actor.ActorHandle[Any]] = [counter, named, ray.get_actor("c"), Idle.remote()]
    ray.kill(same[0], no_restart=True)


def session() -> Iterator[str]:
    with ray.init(num_cpus=1, namespace="n") as context:
        yield context.address_info["node_id"]
    ray.shutdown()
