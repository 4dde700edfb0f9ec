"""Cancelling tasks (docs: "Cancelling tasks")."""

import asyncio
import contextlib
import os
import time

import pytest
from helpers import is_alive, wait_until

import ray
from ray.exceptions import RayError, RayTaskError, TaskCancelledError, WorkerCrashedError

pytestmark = pytest.mark.usefixtures("shared_ray")
CLUSTER = {"num_cpus": 2}


@ray.remote
def hold(tally, gate):
    tally.add()
    gate.wait(60)
    return "held"


@ray.remote
def pass_on(value):
    return value


@pytest.mark.parametrize("force", [False, True])
def test_a_task_that_waits_for_a_cpu_never_runs(force, tally, gate):
    holders = [hold.remote(tally, gate) for _ in range(2)]
    wait_until(lambda: tally.count() == 2)
    waiting = hold.remote(tally, gate)
    ray.cancel(waiting, force=force)
    with pytest.raises(TaskCancelledError):
        ray.get(waiting)
    gate.open()
    assert ray.get(holders) == ["held"] * 2
    assert tally.count() == 2


@pytest.mark.parametrize("force", [False, True])
def test_a_task_that_waits_for_an_argument_never_runs(force, tally, gate):
    waiting = pass_on.remote(hold.remote(tally, gate))
    ray.cancel(waiting, force=force)
    with pytest.raises(TaskCancelledError):
        ray.get(waiting)
    gate.open()


def test_a_running_task_is_interrupted(tally, gate):
    ref = hold.remote(tally, gate)
    wait_until(lambda: tally.count() == 1)
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)


def test_a_running_task_may_clean_up(tally, gate, tmp_path):
    mark = tmp_path / "cleaned"

    @ray.remote
    def careful():
        try:
            tally.add()
            gate.wait(60)
        except KeyboardInterrupt:
            mark.touch()
            raise

    ref = careful.remote()
    wait_until(lambda: tally.count() == 1)
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)
    assert mark.exists()


def test_force_kills_the_worker(tally, gate):
    @ray.remote
    def stubborn(pid_file):
        pid_file.write_text(str(os.getpid()))
        tally.add()
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                gate.wait(60)

    pid_file = gate.other("pid")
    import pathlib

    path = pathlib.Path(pid_file._path)
    ref = stubborn.remote(path)
    wait_until(lambda: tally.count() == 1)
    ray.cancel(ref, force=True)
    with pytest.raises((TaskCancelledError, WorkerCrashedError)):
        ray.get(ref, timeout=20)
    wait_until(lambda: not is_alive(int(path.read_text())))
    assert tally.count() == 1, "a cancelled task is not retried"


def test_what_needs_a_cancelled_task_fails_too(tally, gate):
    first = hold.remote(tally, gate)
    second = pass_on.remote(first)
    wait_until(lambda: tally.count() == 1)
    ray.cancel(first)
    with pytest.raises(TaskCancelledError):
        ray.get(first, timeout=20)
    with pytest.raises(RayError) as caught:
        ray.get(second, timeout=20)
    assert isinstance(caught.value, (TaskCancelledError, RayTaskError))


def test_a_finished_task_is_not_cancelled():
    ref = pass_on.remote(1)
    assert ray.get(ref) == 1
    ray.cancel(ref)
    assert ray.get(ref) == 1


def test_cancelling_twice_does_no_harm(tally, gate):
    ref = hold.remote(tally, gate)
    wait_until(lambda: tally.count() == 1)
    ray.cancel(ref)
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)


def test_the_worker_serves_on_after_a_cancelled_task(tally, gate):
    ref = hold.remote(tally, gate)
    wait_until(lambda: tally.count() == 1)
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)
    assert ray.get([pass_on.remote(n) for n in range(10)]) == list(range(10))


def test_a_cancelled_task_is_not_retried(tally, gate):
    ref = hold.options(max_retries=5, retry_exceptions=True).remote(tally, gate)
    wait_until(lambda: tally.count() == 1)
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)
    assert tally.count() == 1


def test_every_return_of_a_cancelled_task_is_cancelled(tally, gate):
    first, second = hold.options(num_returns=2).remote(tally, gate)
    wait_until(lambda: tally.count() == 1)
    ray.cancel(second)
    for ref in (first, second):
        with pytest.raises(TaskCancelledError):
            ray.get(ref, timeout=20)


@pytest.mark.parametrize("recursive", [True, False])
def test_children_are_cancelled_with_their_parent(recursive, tally, gate):
    @ray.remote
    def parent():
        return ray.get(hold.remote(tally, gate))

    @ray.remote
    def child_marks(mark):
        try:
            tally.add()  # from then on the cancelling may come
            gate.wait(60)
        except KeyboardInterrupt:
            mark.add()
            raise

    @ray.remote
    def marked_parent(mark):
        return ray.get(child_marks.remote(mark))

    from helpers import Tally

    mark = Tally(gate.other("mark")._path)
    ref = marked_parent.remote(mark)
    wait_until(lambda: tally.count() == 1)
    ray.cancel(ref, recursive=recursive)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)
    if recursive:
        wait_until(lambda: mark.count() == 1)
    else:
        time.sleep(0.3)  # nothing happens: there is nothing to wait for
        assert mark.count() == 0
    gate.open()


def test_only_refs_and_generators_are_cancelled():
    for wrong in (1, "ref", [ray.put(1)], None):
        with pytest.raises(TypeError):
            ray.cancel(wrong)


def test_a_task_blocked_in_get_is_interrupted(tally, gate):
    @ray.remote
    def blocked(refs):
        tally.add()
        return ray.get(refs[0])

    never = hold.remote(tally, gate)
    ref = blocked.remote([never])
    wait_until(lambda: tally.count() == 2)
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)
    gate.open()
    assert ray.get(never) == "held"


def test_tasks_cancel_tasks(tally, gate):
    @ray.remote
    def cancel(refs):
        ray.cancel(refs[0])

    ref = hold.remote(tally, gate)
    wait_until(lambda: tally.count() == 1)
    ray.get(cancel.remote([ref]))
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=20)


def test_the_error_names_the_task(tally, gate):
    ref = hold.remote(tally, gate)
    wait_until(lambda: tally.count() == 1)
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError) as caught:
        ray.get(ref, timeout=20)
    assert ref.task_id().hex() in str(caught.value)


def test_an_awaited_ref_of_a_cancelled_task_raises(tally, gate):
    async def main():
        ref = hold.remote(tally, gate)
        while tally.count() == 0:
            await asyncio.sleep(0.01)
        ray.cancel(ref)
        with pytest.raises(TaskCancelledError):
            await ref

    asyncio.run(main())


def test_calls_of_an_async_actor_end_however_early_they_are_cancelled(shared_ray):
    @ray.remote(num_cpus=0)
    class Quick:
        async def number(self, number):
            return number

    actor = Quick.remote()
    ray.get(actor.number.remote(0))
    for _ in range(20):
        refs = [actor.number.remote(number) for number in range(5)]
        ray.cancel(refs[2])
        for number, ref in enumerate(refs):
            try:
                assert ray.get(ref, timeout=20) == number
            except (TaskCancelledError, RayTaskError) as error:
                assert number == 2, error
