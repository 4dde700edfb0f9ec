"""What `ps` and `top` show of workers.

Source: Ray docs, "Ray processes": `ray::IDLE`, `ray::<task>`, `ray::<Class>.<method>`.
"""

import psutil
import pytest

import ray

pytestmark = pytest.mark.usefixtures("cluster")
DEADLINE_S = 20


@ray.remote
def titled():
    process = psutil.Process()
    return process.pid, process.cmdline()[0]


@ray.remote
def slow_title():
    psutil.Process().cpu_percent(0.2)  # longer than a millisecond
    return psutil.Process().name()


@ray.remote
def waiting_title():
    ray.get(slow_title.remote())
    return psutil.Process().pid, psutil.Process().name()


def _wait_for_title(pid, title):
    process = psutil.Process(pid)
    for _ in range(DEADLINE_S * 100):
        if process.cmdline()[0] == title:
            return
        process.cpu_percent(0.01)
    raise AssertionError(f"{process.cmdline()} is not {title} after {DEADLINE_S} s")


def test_a_worker_is_called_as_its_task_while_it_runs_and_idle_afterwards():
    pid, title = ray.get(titled.remote())
    assert title == "ray::titled"
    _wait_for_title(pid, "ray::IDLE")


def test_a_task_with_a_name_of_its_own_is_called_by_that():
    assert ray.get(titled.options(name="x" * 500).remote())[1].startswith("ray::xxxxxxxx")
    assert ray.get(titled.options(name="fancy").remote())[1] == "ray::fancy"


def test_an_actor_is_called_by_its_class_and_the_method_that_runs():
    @ray.remote
    class Titled:
        def method(self):
            process = psutil.Process()
            return process.pid, process.cmdline()[0]

    actor = Titled.remote()
    pid, title = ray.get(actor.method.remote())
    assert title == "ray::Titled.method"
    _wait_for_title(pid, "ray::Titled")


def test_the_short_name_follows_for_a_task_that_takes_a_while():
    assert ray.get(slow_title.remote()).startswith("ray::slow_title"[:15])


def test_the_short_name_is_rays_from_the_start_and_follows_for_a_task_that_waits():
    pid, name = ray.get(waiting_title.remote())
    assert name == "ray::waiting_title"  # psutil completes the 15 characters that the kernel keeps
    _wait_for_title(pid, "ray::IDLE")
    siblings = psutil.Process(pid).parent().children()
    idle = [each.name() for each in siblings if each.cmdline()[0] == "ray::IDLE"]
    assert idle and set(idle) == {"ray::IDLE"}, idle
