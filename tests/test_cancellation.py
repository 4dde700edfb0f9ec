"""`ray.cancel` on real processes."""

import asyncio
import contextlib
import gc
import os
import sys
import time

import pytest
from polling import wait_until

import ray
from ray._core.common import messages as m
from ray._core.worker import object_ref
from ray.exceptions import RayTaskError, TaskCancelledError, WorkerCrashedError

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests
pytestmark = pytest.mark.usefixtures("cluster")


def pending():
    core = object_ref._core
    with core.lock:
        return len(core.submitter.tasks)


@ray.remote
def sleep(started, seconds=60):
    started.touch()
    time.sleep(seconds)
    return "done"


@ray.remote
def identity(value):
    return value


def cancelled(ref, **options):
    ray.cancel(ref, **options)
    with pytest.raises(TaskCancelledError) as caught:
        ray.get(ref, timeout=20)
    return caught.value


def test_a_sleeping_task_is_interrupted(tmp_path):
    ref = sleep.remote(tmp_path / "started")
    wait_until((tmp_path / "started").exists)
    error = cancelled(ref)
    assert isinstance(error, RayTaskError)
    assert ref.task_id().hex() in str(error)
    assert ray.get(identity.remote(1)) == 1


def test_a_computing_task_is_interrupted(tmp_path):
    @ray.remote
    def compute():
        (tmp_path / "started").touch()
        number = 0
        while True:
            number += 1

    ref = compute.remote()
    wait_until((tmp_path / "started").exists)
    cancelled(ref)


def test_a_task_that_waits_in_get_is_interrupted_and_the_engine_is_whole(tmp_path):
    @ray.remote
    def wait(box):
        (tmp_path / "started").touch()
        try:
            ray.get(box[0])
        except KeyboardInterrupt:
            (tmp_path / "value").write_text(str(ray.get(identity.remote(5))))
            raise

    slow = sleep.remote(tmp_path / "other")
    ref = wait.remote([slow])
    wait_until((tmp_path / "started").exists)
    cancelled(ref, recursive=False)
    assert (tmp_path / "value").read_text() == "5"
    cancelled(slow)


def test_many_engine_calls_survive_interruptions(tmp_path):
    """Tasks that do nothing but call the engine are cancelled at any moment; the workers go on."""

    @ray.remote(max_retries=0)
    def busy(number):
        (tmp_path / str(number)).touch()
        while True:
            ray.get([ray.put(bytes(200_000)), ray.put(number)])

    for number in range(15):
        ref = busy.remote(number)
        wait_until((tmp_path / str(number)).exists)
        time.sleep(0.003 * (number % 5))
        cancelled(ref)
    assert ray.get([identity.remote(number) for number in range(200)]) == list(range(200))


def test_a_task_may_catch_the_interruption_and_return(tmp_path):
    @ray.remote
    def stubborn():
        try:
            (tmp_path / "started").touch()
            time.sleep(60)
        except KeyboardInterrupt:
            return "caught"

    ref = stubborn.remote()
    wait_until((tmp_path / "started").exists)
    ray.cancel(ref)
    assert ray.get(ref) == "caught"


def test_an_error_raised_in_a_handler_is_the_tasks_error(tmp_path):
    @ray.remote(retry_exceptions=True, max_retries=3)
    def other():
        (tmp_path / "started").touch()
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            raise ValueError("mine") from None

    ref = other.remote()
    wait_until((tmp_path / "started").exists)
    ray.cancel(ref)
    with pytest.raises(ValueError, match="mine"):
        ray.get(ref, timeout=20)


def test_by_force_the_worker_ends_and_the_task_is_not_retried(tmp_path):
    @ray.remote(max_retries=5)
    def runs():
        with open(tmp_path / "runs", "a") as file:
            file.write(f"{os.getpid()}\n")
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                time.sleep(60)

    ref = runs.remote()
    wait_until((tmp_path / "runs").exists)
    ray.cancel(ref, force=True)
    with pytest.raises((TaskCancelledError, WorkerCrashedError)):
        ray.get(ref, timeout=20)
    assert ray.get(identity.remote(2)) == 2
    assert len((tmp_path / "runs").read_text().splitlines()) == 1


def test_by_force_ends_code_that_never_lets_the_interpreter_go(tmp_path):
    @ray.remote(max_retries=5)
    def hard():
        import re

        (tmp_path / "started").touch()
        re.match(r"(a+)+$", "a" * 64 + "b")  # exponential, in C

    ref = hard.remote()
    wait_until((tmp_path / "started").exists)
    ray.cancel(ref, force=True)
    with pytest.raises((TaskCancelledError, WorkerCrashedError)):
        ray.get(ref, timeout=20)


def test_waiting_tasks_never_run(tmp_path):
    running = [sleep.remote(tmp_path / f"running{number}") for number in range(2)]
    for number in range(2):
        wait_until((tmp_path / f"running{number}").exists)
    waiting = [sleep.remote(tmp_path / f"waiting{number}") for number in range(5)]
    dependent = identity.remote(waiting[0])
    on_argument = sleep.remote(tmp_path / "argument", running[0])
    for ref in (on_argument, *waiting, *running):
        ray.cancel(ref)
    for ref in (on_argument, *waiting, *running, dependent):
        with pytest.raises(TaskCancelledError):
            ray.get(ref, timeout=20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["running0", "running1"]
    wait_until(lambda: pending() == 0)


def test_a_storm_of_cancels_leaves_a_working_cluster(tmp_path):
    refs = [sleep.remote(tmp_path / str(number), 0.001) for number in range(1000)]
    for ref in refs[::-1]:
        ray.cancel(ref)
    ended = 0
    for ref in refs:
        with contextlib.suppress(TaskCancelledError):
            ended += ray.get(ref, timeout=60) == "done"
    assert ended < 1000
    assert ray.get([identity.remote(number) for number in range(100)]) == list(range(100))
    assert pending() == 0


def test_infeasible_requests_are_taken_back():
    ref = identity.options(resources={"nowhere": 1}).remote(1)
    cancelled(ref)
    core = object_ref._core
    wait_until(lambda: not any(core.submitter.leases._open.values()))


def test_finished_tasks_stay_as_they_are():
    ref = identity.remote(3)
    assert ray.get(ref) == 3
    ray.cancel(ref)
    ray.cancel(ref, force=True)
    assert ray.get(ref) == 3
    ray.cancel(ray.put(1))


def test_children_are_cancelled_with_their_parent(tmp_path):
    @ray.remote(num_cpus=0)
    def parent():
        child = sleep.options(num_cpus=0).remote(tmp_path / "child")
        (tmp_path / "parent").touch()
        try:
            ray.get(child)
        except BaseException as error:
            (tmp_path / "told").write_text(type(error).__name__)
            raise

    ref = parent.remote()
    wait_until((tmp_path / "child").exists)
    ray.cancel(ref, recursive=True)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)
    # Both CPUs are free again, so the child does not sleep on.
    assert ray.get([identity.remote(number) for number in range(2)]) == [0, 1]
    wait_until((tmp_path / "told").exists)


@pytest.mark.parametrize("is_timeout", [False, True])
def test_what_an_answered_task_has_submitted_is_part_of_its_answer(tmp_path, is_timeout):
    """The word of the cancelling, or of the `timeout=`, crosses the answer on its way to the worker."""

    @ray.remote
    def parent():
        return [sleep.options(num_cpus=0).remote(tmp_path / "child", 0.5)]

    ref = parent.remote()
    [child] = ray.get(ref)
    task_id = ref.task_id().binary()
    core = object_ref._core
    with core.lock:
        [held] = core.submitter.leases.held.values()
        if is_timeout:
            answers = []
            held.worker.request(m.ExpireTask(task_id=task_id), answers.append)
        else:
            held.worker.send(m.CancelTask(task_id, force=False, recursive=True))
        core.reactor.flush()
    assert ray.get(child, timeout=20) == "done"
    assert not is_timeout or answers


def test_a_borrower_cancels_through_the_owner(tmp_path):
    @ray.remote
    def cancel(box):
        ray.cancel(box[0])

    ref = sleep.remote(tmp_path / "started")
    wait_until((tmp_path / "started").exists)
    ray.get(cancel.remote([ref]))
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)


def test_a_generator_ends_with_the_cancellation(tmp_path):
    @ray.remote
    def endless():
        yield 0
        (tmp_path / "started").touch()
        time.sleep(60)

    stream = endless.remote()
    assert ray.get(next(stream)) == 0
    wait_until((tmp_path / "started").exists)
    ray.cancel(stream)
    (error,) = list(stream)
    with pytest.raises(TaskCancelledError):
        ray.get(error)
    with pytest.raises(TaskCancelledError):
        ray.get(stream.completed())


def test_a_generator_held_back_by_its_consumer_is_cancelled():
    @ray.remote(_generator_backpressure_num_objects=1)
    def held():
        yield from range(1000)

    stream = held.remote()
    next(stream)
    time.sleep(0.05)
    ray.cancel(stream)
    *_, error = list(stream)
    with pytest.raises(TaskCancelledError):
        ray.get(error)


def test_an_async_generator_task_is_cancelled(tmp_path):
    @ray.remote
    async def endless():
        yield 0
        (tmp_path / "started").touch()
        await asyncio.sleep(60)

    stream = endless.remote()
    next(stream)
    wait_until((tmp_path / "started").exists)
    ray.cancel(stream)
    (error,) = list(stream)
    with pytest.raises(TaskCancelledError):
        ray.get(error)


@ray.remote(num_cpus=0)
class Plain:
    def sleep(self, path, seconds):
        path.touch()
        time.sleep(seconds)
        return "slept"

    def poll(self, path):
        path.touch()
        while not ray.get_runtime_context().is_canceled():
            time.sleep(0.01)
        (path.parent / "saw").touch()
        return "saw"

    def numbers(self, path):
        for number in range(10_000):
            yield number
            path.touch()
            time.sleep(0.01)


@ray.remote(num_cpus=0)
class Async:
    async def sleep(self, path):
        path.touch()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            (path.parent / "told").touch()
            raise

    async def swallow(self, path):
        path.touch()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "swallowed"

    async def quick(self):
        return "quick"

    async def numbers(self, path):
        for number in range(10_000):
            yield number
            path.touch()
            await asyncio.sleep(0.01)


def test_a_method_that_runs_may_ask_and_is_not_interrupted(tmp_path):
    actor = Plain.remote()
    ref = actor.poll.remote(tmp_path / "started")
    wait_until((tmp_path / "started").exists)
    error = cancelled(ref)
    assert not isinstance(error, RayTaskError)
    assert (tmp_path / "saw").exists()


def test_queued_methods_are_dropped(tmp_path):
    actor = Plain.remote()
    first = actor.sleep.remote(tmp_path / "first", 0.5)
    second = actor.sleep.remote(tmp_path / "second", 0)
    wait_until((tmp_path / "first").exists)
    cancelled(second)
    assert ray.get(first) == "slept"
    assert not (tmp_path / "second").exists()


def test_methods_that_wait_for_arguments_are_dropped(tmp_path):
    actor = Plain.remote()
    slow = sleep.remote(tmp_path / "slow")
    ref = actor.sleep.remote(tmp_path / "never", slow)
    after = actor.sleep.remote(tmp_path / "after", 0)
    cancelled(ref)
    assert ray.get(after, timeout=20) == "slept"
    cancelled(slow)


def test_methods_in_threads_are_dropped_or_told(tmp_path):
    actor = Plain.options(max_concurrency=2).remote()
    running = [actor.poll.remote(tmp_path / name) for name in ("first", "second")]
    for name in ("first", "second"):
        wait_until((tmp_path / name).exists)
    queued = actor.poll.remote(tmp_path / "third")
    cancelled(queued)
    for ref in running:
        cancelled(ref)
    assert not (tmp_path / "third").exists()


def test_coroutines_are_cancelled_and_their_error_is_of_a_task(tmp_path):
    actor = Async.remote()
    ref = actor.sleep.remote(tmp_path / "started")
    wait_until((tmp_path / "started").exists)
    assert isinstance(cancelled(ref), RayTaskError)
    assert (tmp_path / "told").exists()
    ref = actor.swallow.remote(tmp_path / "again")
    wait_until((tmp_path / "again").exists)
    cancelled(ref)
    assert ray.get(actor.quick.remote()) == "quick"


def test_coroutines_that_wait_for_their_turn_are_dropped(tmp_path):
    actor = Async.options(max_concurrency=1).remote()
    running = actor.sleep.remote(tmp_path / "running")
    wait_until((tmp_path / "running").exists)
    cancelled(actor.swallow.remote(tmp_path / "queued"))
    cancelled(running)
    assert not (tmp_path / "queued").exists()
    assert ray.get(actor.quick.remote()) == "quick"


@pytest.mark.parametrize("kind", [Plain, Async])
@pytest.mark.parametrize("limit", [None, 1])
def test_generator_methods_are_cancelled(kind, limit, tmp_path):
    actor = kind.remote()
    stream = actor.numbers.options(_generator_backpressure_num_objects=limit).remote(tmp_path / "started")
    next(stream)
    wait_until((tmp_path / "started").exists)
    ray.cancel(stream)
    *_, error = list(stream)
    with pytest.raises(TaskCancelledError):
        ray.get(error)


def test_methods_are_not_forced():
    actor = Plain.remote()
    with pytest.raises(ValueError, match="force=True is not supported for actor tasks"):
        ray.cancel(actor.poll.remote(None), force=True)


def test_only_refs_and_generators_are_cancelled():
    with pytest.raises(TypeError, match="only supported for object refs"):
        ray.cancel("a")


def test_nothing_is_left_of_cancelled_tasks(tmp_path):
    gc.collect()
    wait_until(lambda: pending() == 0)
