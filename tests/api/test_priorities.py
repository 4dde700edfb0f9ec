"""`priority=`: who goes first when not all can run (our own option; docs/timeouts_and_priorities.md)."""

import time

import pytest
from helpers import wait_until

import ray
from ray import exceptions

if not hasattr(exceptions, "TaskTimeoutError"):
    pytest.skip("the option is pure-ray's own", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("shared_ray")
CLUSTER = {"num_cpus": 1}


@pytest.fixture
def order(tmp_path):
    """A file of names; each task that runs adds its own."""
    path = tmp_path / "order"
    path.touch()
    return path


@ray.remote
def hold(tally, gate):
    tally.add()
    gate.wait(60)


@ray.remote
def note(order, name, sleep_s=0.0):
    time.sleep(sleep_s)
    with order.open("a") as file:
        file.write(f"{name}\n")


@ray.remote
class Noter:
    def __init__(self, order, name):
        ray.get(note.options(num_cpus=0).remote(order, name))

    def ping(self):
        return "pong"


def names(order):
    return order.read_text().split()


def test_the_higher_priority_goes_first(tally, gate, order):
    holder = hold.remote(tally, gate)
    wait_until(lambda: tally.count() == 1)
    refs = [note.remote(order, "default0"), note.options(priority=-1).remote(order, "low")]
    refs += [note.options(priority=2).remote(order, f"high{number}") for number in range(3)]
    refs += [note.options(priority=1).remote(order, "middle"), note.remote(order, "default1")]
    gate.open()
    ray.get([holder, *refs])
    assert names(order) == ["high0", "high1", "high2", "middle", "default0", "default1", "low"]


def test_a_class_that_holds_the_workers_gives_way_after_the_running_task(order):
    low = [note.remote(order, "low", 0.005) for _ in range(120)]
    wait_until(lambda: names(order))
    equal = note.options(num_cpus=0.9).remote(order, "equal")  # waits for 0.1 s, which are 20 tasks
    high = note.options(priority=1).remote(order, "high")
    ray.get([high, equal])
    assert names(order).index("high") < names(order).index("equal")
    ray.get(low)
    assert names(order).count("low") == 120


def test_actors_are_started_by_priority(tally, gate, order):
    holder = hold.remote(tally, gate)
    wait_until(lambda: tally.count() == 1)
    low = Noter.options(num_cpus=1).remote(order, "low")
    high = Noter.options(num_cpus=1, priority=1).remote(order, "high")
    gate.open()
    ray.get(holder)
    assert ray.get(high.ping.remote()) == "pong"
    assert names(order) == ["high"]
    del high
    assert ray.get(low.ping.remote()) == "pong"


def test_what_a_task_submits_has_its_priority_unless_it_says_otherwise(tally, gate, order):
    @ray.remote(num_cpus=0, priority=5)
    def parent(order):
        return [note.remote(order, "child"), note.options(priority=0).remote(order, "other")]

    holder = hold.remote(tally, gate)
    wait_until(lambda: tally.count() == 1)
    between = note.options(priority=3).remote(order, "between")
    children = ray.get(parent.remote(order))
    gate.open()
    ray.get([holder, between, *children])
    assert names(order) == ["child", "between", "other"]
