"""What a process has done before it dies is neither lost nor done again."""

import os
import signal
import sys

import pytest

import ray
from ray.exceptions import ActorDiedError, WorkerCrashedError

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests
pytestmark = pytest.mark.usefixtures("cluster")


@ray.remote(max_retries=0)
def note(path, number, last):
    with open(path, "a") as file:
        file.write(f"{number}\n")
    if number == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@ray.remote
def quick():
    return 1


@ray.remote(max_retries=0)
def die():
    os.kill(os.getpid(), signal.SIGKILL)


@ray.remote(num_cpus=0)
class Actor:
    def quick(self):
        return 1

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)


def test_of_tasks_that_must_not_run_twice_only_the_one_that_crashes_fails(tmp_path):
    path = str(tmp_path / "ran")
    ray.get([note.remote(os.devnull, 0, -1) for _ in range(10)])  # so that they are known to be quick
    refs = [note.remote(path, number, 40) for number in range(100)]
    for number, ref in enumerate(refs):
        if number != 40:
            assert ray.get(ref) == number
    with pytest.raises(WorkerCrashedError):
        ray.get(refs[40])
    with open(path) as file:
        assert sorted(map(int, file.read().split())) == list(range(100))


def test_a_task_that_crashes_takes_no_answers_of_another_function_along():
    ray.get([quick.remote() for _ in range(10)])
    ray.get([quick.options(max_retries=0).remote() for _ in range(10)])
    refs = [quick.options(max_retries=0).remote() for _ in range(10)]
    with pytest.raises(WorkerCrashedError):
        ray.get(die.remote())
    assert ray.get(refs) == [1] * 10


def test_what_an_actor_answered_before_its_end_arrives():
    for _ in range(10):
        actor = Actor.remote()
        ray.get(actor.quick.remote())
        refs, last = [actor.quick.remote() for _ in range(5)], actor.die.remote()
        assert ray.get(refs) == [1] * 5
        with pytest.raises(ActorDiedError):
            ray.get(last)


@ray.remote(num_cpus=0)
class Counter:
    def step(self, number, last, how):
        if number == last:
            if how == "exit":
                os._exit(1)
            os.kill(os.getpid(), signal.SIGKILL)
        return number


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_calls_of_one_method_before_the_one_that_ends_the_process_are_answered(how):
    counter = Counter.remote()
    ray.get([counter.step.remote(number, -1, how) for number in range(10)])
    refs = [counter.step.remote(number, 25, how) for number in range(50)]
    assert ray.get(refs[:25]) == [*range(25)]
    for ref in refs[25:]:
        with pytest.raises(ActorDiedError):
            ray.get(ref)
