"""Results that a worker has sealed and its caller never hears of, or does not take: none of them stays.

That nothing is left is checked after each test, by the hook in the conftest of all tests.
"""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

import ray
from ray._core.common import messages as m
from ray._core.wire.connection import Connection
from ray._core.worker import object_ref
from ray.exceptions import ActorDiedError, ActorUnavailableError, TaskCancelledError, WorkerCrashedError

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file
pytestmark = pytest.mark.usefixtures("cluster")
MIB = 1 << 20


def large(number=0):
    return np.full(MIB, number, dtype=np.uint8)


def is_first(flag):
    """Whether this is the first attempt."""
    try:
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def answer_no_more():
    """From now on this worker's answers are lost; what it seals, its raylet hears of. It is killed soon after."""
    send = Connection.send

    def send_others(self, message):
        if not isinstance(message, (m.TaskDone, m.GeneratorItem)):
            send(self, message)
        elif isinstance(message, m.TaskDone):
            threading.Timer(0.05, die).start()

    def die():
        core = object_ref._core
        with core.lock:
            core.reactor.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    Connection.send = send_others


@ray.remote
def one(flag):
    first = is_first(flag)
    if first:
        answer_no_more()
    return large() if first else 1


@ray.remote
def several(flag):
    """Items of a generator: as many large ones as it gets to, of an attempt that nobody hears of."""
    first = is_first(flag)
    if first:
        answer_no_more()
    for number in range(3):
        yield large() if first else number


@ray.remote(max_restarts=-1, num_cpus=0)
class Actor:
    def one(self, flag):
        first = is_first(flag)
        if first:
            answer_no_more()
        return large() if first else 1

    def several(self, flag):
        first = is_first(flag)
        if first:
            answer_no_more()
        for number in range(3):
            yield large() if first else number


@pytest.fixture
def flag(tmp_path):
    return str(tmp_path / "flag")


def test_a_task_that_is_not_retried(flag):
    with pytest.raises(WorkerCrashedError):
        ray.get(one.options(max_retries=0).remote(flag), timeout=30)


def test_a_task_that_is_retried(flag):
    assert ray.get(one.remote(flag), timeout=30) == 1


def test_a_task_whose_results_nobody_wants(flag, tmp_path):
    one.remote(flag)
    assert ray.get(one.remote(str(tmp_path / "other")), timeout=30) == 1


def test_a_generator_of_a_fixed_number(flag):
    assert ray.get(several.options(num_returns=3).remote(flag), timeout=30) == [0, 1, 2]


def test_a_dynamic_generator(flag):
    refs = ray.get(several.options(num_returns="dynamic").remote(flag), timeout=30)
    assert ray.get(list(refs), timeout=30) == [0, 1, 2]


@pytest.mark.parametrize("max_retries", [0, -1])
def test_a_stream(flag, max_retries):
    stream = several.options(num_returns="streaming", max_retries=max_retries).remote(flag)
    if max_retries:
        assert [ray.get(ref, timeout=30) for ref in stream] == [0, 1, 2]
    else:
        with pytest.raises(WorkerCrashedError):
            ray.get(next(stream), timeout=30)


@pytest.mark.parametrize("method", ["one", "several"])
def test_a_call_of_an_actor(flag, method):
    actor = Actor.options(max_task_retries=-1).remote()
    if method == "one":
        assert ray.get(actor.one.remote(flag), timeout=30) == 1
    else:
        assert [ray.get(ref, timeout=30) for ref in actor.several.remote(flag)] == [0, 1, 2]


def test_a_call_of_an_actor_that_is_not_retried(flag):
    actor = Actor.options(max_restarts=0).remote()
    with pytest.raises((ActorDiedError, ActorUnavailableError)):
        ray.get(actor.one.remote(flag), timeout=30)


def test_results_of_an_attempt_that_raised_and_is_retried(flag):
    @ray.remote(num_returns=2, retry_exceptions=True)
    def raising(flag):
        first = is_first(flag)
        yield large() if first else 1
        if first:
            raise ValueError("once")
        yield 2

    assert ray.get(raising.remote(flag), timeout=30) == [1, 2]


def test_results_of_a_task_that_was_cancelled(flag):
    @ray.remote(num_returns=2)
    def endless(flag):
        yield large()
        is_first(flag)
        while True:
            time.sleep(0.01)

    refs = endless.remote(flag)
    deadline_at_s = time.monotonic() + 20
    while not os.path.exists(flag):
        assert time.monotonic() < deadline_at_s
        time.sleep(0.01)
    ray.cancel(refs[0])
    with pytest.raises(TaskCancelledError):
        ray.get(refs[1], timeout=30)
