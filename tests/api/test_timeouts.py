"""`timeout=`: calls that do not end in time end with TaskTimeoutError (our own; docs/timeouts_and_priorities.md)."""

import asyncio
import os
import time

import pytest
from helpers import wait_until

import ray
from ray import exceptions
from ray.exceptions import GetTimeoutError, RayTaskError, TaskCancelledError, WorkerCrashedError

if not hasattr(exceptions, "TaskTimeoutError"):
    pytest.skip("the option is pure-ray's own", allow_module_level=True)
from ray.exceptions import TaskTimeoutError

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


class Holder:
    def hold(self, tally, gate):
        tally.add()
        gate.wait(60)
        return ray.get_runtime_context().is_canceled()

    @ray.method(timeout=0.1)
    def hold_shortly(self, tally, gate):
        return self.hold(tally, gate)

    def ping(self):
        return "pong"


Plain = ray.remote(num_cpus=0)(Holder)


@ray.remote(num_cpus=0)
class Async:
    def __init__(self):
        self.ended = []

    async def hold(self):
        try:
            await asyncio.sleep(60)
        finally:
            self.ended.append("hold")

    async def what_ended(self):
        return self.ended


def test_a_call_that_ends_in_time_does_not_notice():
    assert ray.get(pass_on.options(timeout=30).remote(1)) == 1
    assert ray.get(Plain.remote().ping.options(timeout=30).remote()) == "pong"


def test_a_task_that_is_queued_for_a_lease_is_never_started(tally, gate):
    holders = [hold.remote(tally, gate) for _ in range(2)]
    wait_until(lambda: tally.count() == 2)
    late = hold.options(timeout=0.1).remote(tally, gate)
    with pytest.raises(TaskTimeoutError, match=r"hold did not end within its timeout of 0\.1 s.*queued.*not started"):
        ray.get(late, timeout=20)
    gate.open()
    assert ray.get(holders) == ["held"] * 2
    assert tally.count() == 2


def test_a_task_that_waits_for_an_argument_is_never_started(tally, gate):
    held = hold.remote(tally, gate)
    late = pass_on.options(timeout=0.1).remote(held)
    with pytest.raises(TaskTimeoutError, match=r"0\.1\d s waiting for arguments\. It was not started") as caught:
        ray.get(late, timeout=20)
    assert caught.value.timeout_s == 0.1
    assert caught.value.task_id == late.task_id().hex()
    assert caught.value.spent["waiting for arguments"] >= 0.1
    gate.open()
    assert ray.get(held) == "held"


def test_a_running_task_is_interrupted(tally, gate):
    late = hold.options(timeout=0.3).remote(tally, gate)
    with pytest.raises(TaskTimeoutError, match=r"running\. It is interrupted") as caught:
        ray.get(late, timeout=20)
    assert isinstance(caught.value, TimeoutError)
    assert not isinstance(caught.value, GetTimeoutError)
    assert tally.count() == 1
    assert ray.get(pass_on.remote(1), timeout=20) == 1  # its worker, or another, takes the next task


def test_a_task_that_takes_no_notice_of_the_interruption_ends_for_its_caller(tally, gate):
    @ray.remote(timeout=0.3)
    def stubborn(tally, gate):
        try:
            tally.add()
            gate.wait(60)
        except KeyboardInterrupt:
            tally.add()
            gate.wait(60)
        return bytearray(1 << 20)

    late = stubborn.remote(tally, gate)
    with pytest.raises(TaskTimeoutError):
        ray.get(late, timeout=20)
    wait_until(lambda: tally.count() == 2)
    before = ray.available_resources().get("object_store_memory")
    gate.open()
    assert ray.get(pass_on.remote(1), timeout=20) == 1
    with pytest.raises(TaskTimeoutError):  # what it returned in the end changes nothing
        ray.get(late, timeout=20)
    wait_until(lambda: ray.available_resources().get("CPU") == 2)
    assert ray.available_resources().get("object_store_memory") == before


def test_it_is_not_retried_and_its_children_end_too(tally, gate):
    @ray.remote(max_retries=5, retry_exceptions=True, timeout=0.3)
    def parent(tally, gate):
        return ray.get(hold.remote(tally, gate))

    with pytest.raises(TaskTimeoutError):
        ray.get(parent.remote(tally, gate), timeout=20)
    wait_until(lambda: ray.available_resources().get("CPU") == 2)
    assert tally.count() <= 1


def test_the_time_counts_from_the_submission_through_all_attempts(tally):
    @ray.remote(max_retries=-1, retry_exceptions=True, timeout=0.5)
    def fails(tally):
        tally.add()
        time.sleep(0.05)
        raise ValueError

    with pytest.raises(TaskTimeoutError, match="in earlier attempts"):
        ray.get(fails.remote(tally), timeout=20)
    assert tally.count() > 1


def test_whoever_needs_the_value_fails_with_it(tally, gate):
    late = hold.options(timeout=0.1).remote(tally, gate)
    with pytest.raises(TaskTimeoutError) as caught:
        ray.get(pass_on.remote(late), timeout=20)
    assert isinstance(caught.value, RayTaskError)


def test_a_method_that_runs_goes_on_and_its_caller_does_not_wait(tally, gate):
    actor = Plain.remote()
    assert ray.get(actor.ping.remote()) == "pong"
    started = time.monotonic()
    with pytest.raises(TaskTimeoutError, match="cannot be interrupted"):
        ray.get(actor.hold_shortly.remote(tally, gate), timeout=20)
    assert time.monotonic() - started < 10
    queued = actor.ping.remote()
    gate.open()
    assert ray.get(queued, timeout=20) == "pong"


def test_a_call_that_is_queued_at_its_actor_is_never_started(tally, gate):
    actor = Plain.remote()
    running = actor.hold.remote(tally, gate)
    wait_until(lambda: tally.count() == 1)
    late = actor.hold.options(timeout=0.1).remote(tally, gate)
    after = actor.ping.remote()
    with pytest.raises(TaskTimeoutError, match=r"queued at the actor.*not started"):
        ray.get(late, timeout=20)
    gate.open()
    assert ray.get([running, after], timeout=20) == [False, "pong"]
    assert tally.count() == 1


def test_a_call_that_waits_for_its_actor_is_dropped_and_those_behind_it_go_on(tally, gate):
    held = hold.remote(tally, gate)
    actor = Plain.remote()
    late = actor.hold.options(timeout=0.1).remote(tally, held)
    with pytest.raises(TaskTimeoutError, match="waiting for arguments"):
        ray.get(late, timeout=20)
    assert ray.get(actor.ping.remote(), timeout=20) == "pong"
    gate.open()
    ray.get(held)


def test_a_method_in_a_thread_is_told(tally, gate):
    actor = Plain.options(max_concurrency=2).remote()
    assert ray.get(actor.ping.remote()) == "pong"
    with pytest.raises(TaskTimeoutError, match="cannot be interrupted"):
        ray.get(actor.hold.options(timeout=0.3).remote(tally, gate), timeout=20)
    gate.open()
    assert ray.get(actor.ping.remote(), timeout=20) == "pong"


def test_a_coroutine_is_cancelled():
    actor = Async.remote()
    assert ray.get(actor.what_ended.remote()) == []
    with pytest.raises(TaskTimeoutError, match="It is interrupted"):
        ray.get(actor.hold.options(timeout=0.3).remote(), timeout=20)
    assert ray.get(actor.what_ended.remote(), timeout=20) == ["hold"]


def test_a_stream_ends_with_the_error(gate):
    @ray.remote(timeout=0.5)
    def stream(gate):
        yield 1
        gate.wait(60)
        yield 2

    items = stream.remote(gate)
    assert ray.get(next(items)) == 1
    with pytest.raises(TaskTimeoutError):
        ray.get(next(items))
    with pytest.raises(StopIteration):
        next(items)


def test_each_result_is_the_error(tally, gate):
    for ref in hold.options(num_returns=2, timeout=0.1).remote(tally, gate):
        with pytest.raises(TaskTimeoutError):
            ray.get(ref, timeout=20)


def test_cancelling_comes_first_when_it_does(tally, gate):
    late = hold.options(timeout=5).remote(tally, gate)
    wait_until(lambda: tally.count() == 1)
    ray.cancel(late)
    with pytest.raises(TaskCancelledError):
        ray.get(late, timeout=20)


def test_a_worker_that_dies_before_is_the_reason():
    @ray.remote(max_retries=0, timeout=30)
    def dies():
        os._exit(1)

    with pytest.raises(WorkerCrashedError):
        ray.get(dies.remote(), timeout=20)
