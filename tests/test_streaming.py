"""Streaming tasks on real processes: what the contract tests of tests/api do not look at."""

import asyncio
import gc
import os
import sys

import numpy as np
import psutil
import pytest
from polling import wait_until

import ray
from ray._core.worker import object_ref
from ray.exceptions import RayTaskError, WorkerCrashedError

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests
pytestmark = pytest.mark.usefixtures("cluster")


def owned():
    """How many objects this driver knows."""
    core = object_ref._core
    with core.lock:
        core.refs.drain()
        core.reactor.flush()
        return len(core.objects)


def wait_for(path):
    wait_until(path.exists)


@ray.remote
def count(n):
    yield from range(n)


@ray.remote
def large(n, note):
    for number in range(n):
        yield np.full(500_000, number)
    note.touch()


def test_items_nobody_took_are_freed_with_the_generator(tmp_path):
    gc.collect()
    before = owned()
    stream = large.remote(20, tmp_path / "done")
    first = next(stream)
    wait_for(tmp_path / "done")
    ray.get(stream.completed())
    assert owned() > before + 15
    del stream
    wait_until(lambda: owned() == before + 1)
    assert ray.get(first)[0] == 0
    del first
    wait_until(lambda: owned() == before)


def test_a_task_whose_generator_is_gone_runs_to_its_end_and_leaves_nothing(tmp_path):
    before = owned()
    # 40 items of 4 MB do not fit into the store (256 MB) unless the earlier rounds are freed.
    for number in range(4):
        large.remote(40, tmp_path / str(number))
        wait_for(tmp_path / str(number))
    wait_until(lambda: owned() == before)


def test_backpressure_ends_with_the_generator(tmp_path):
    @ray.remote(_generator_backpressure_num_objects=1)
    def held():
        yield from range(5)
        (tmp_path / "done").touch()

    stream = held.remote()
    assert ray.get(next(stream)) == 0
    assert not (tmp_path / "done").exists()
    del stream
    owned()
    wait_for(tmp_path / "done")


def test_a_held_back_task_hands_on_the_tasks_behind_it():
    @ray.remote(_generator_backpressure_num_objects=1)
    def held():
        yield from range(100)

    streams = [held.remote()]
    next(streams[0])
    assert ray.get([count.options(num_returns=1).remote(1) for _ in range(50)]) == [0] * 50
    assert len(list(streams[0])) == 99


def test_a_worker_killed_in_mid_stream_is_replaced_and_nothing_is_given_twice(tmp_path):
    @ray.remote(max_retries=1)
    def numbers():
        with open(tmp_path / "runs", "a") as file:
            file.write(f"{os.getpid()}\n")
        for number in range(6):
            if number == 3:
                wait_until((tmp_path / "go").exists)
            yield np.full(100_000, number)

    stream = numbers.remote()
    taken = [next(stream)]
    ray.wait([stream])
    wait_until(lambda: owned() and stream._stream.positions.arrived == 3)
    os.kill(int((tmp_path / "runs").read_text()), 9)
    (tmp_path / "go").touch()
    taken += list(stream)
    assert [int(ray.get(ref)[0]) for ref in taken] == [0, 1, 2, 3, 4, 5]
    assert len((tmp_path / "runs").read_text().splitlines()) == 2


def test_a_run_that_gives_fewer_items_than_the_one_before_is_told(tmp_path):
    @ray.remote(max_retries=1)
    def shrinking():
        again = (tmp_path / "ran").exists()
        (tmp_path / "ran").touch()
        yield from range(1 if again else 3)
        if not again:
            wait_until((tmp_path / "go").exists)
            os._exit(1)

    stream = shrinking.remote()
    wait_until(lambda: owned() and stream._stream.positions.arrived == 3)
    (tmp_path / "go").touch()
    refs = list(stream)
    assert ray.get(refs[:3]) == [0, 1, 2]
    with pytest.raises(ray.exceptions.StreamingGeneratorReplayInconsistentError):
        ray.get(refs[3])


def test_exceptions_are_retried_when_asked_and_not_shown_before(tmp_path):
    @ray.remote(max_retries=2, retry_exceptions=True)
    def flaky():
        yield 1
        with open(tmp_path / "runs", "a") as file:
            file.write("x")
        if len((tmp_path / "runs").read_text()) < 3:
            raise ValueError("not yet")
        yield 2

    assert [ray.get(ref) for ref in flaky.remote()] == [1, 2]


def test_an_error_of_user_code_leaves_completed_good_and_a_crash_does_not():
    @ray.remote(max_retries=0)
    def fail(how):
        yield 1
        if how == "raise":
            raise ValueError("user")
        os._exit(1)

    assert ray.get(fail.remote("raise").completed()) is None
    with pytest.raises(WorkerCrashedError):
        ray.get(fail.remote("crash").completed())


def test_refs_inside_items_live_as_long_as_the_item():
    @ray.remote
    def lend():
        for number in range(3):
            yield [ray.put(np.full(200_000, number))]

    refs = list(lend.remote())
    inner = [ray.get(ref)[0] for ref in refs]
    del refs
    assert [int(ray.get(ref)[0]) for ref in inner] == [0, 1, 2]


def test_refs_of_a_third_process_inside_items_are_registered_before_they_arrive():
    @ray.remote
    def make():
        return [ray.put(np.arange(200_000))]

    @ray.remote
    def pass_on(box):
        inner = ray.get(box[0])
        for ref in inner:
            yield [ref]

    box = make.remote()
    stream = pass_on.remote([box])
    item = next(stream)
    del box
    ray.get(stream.completed())
    inner = ray.get(item)[0]
    del item
    assert ray.get(inner)[-1] == 199_999


def test_an_item_that_cannot_be_pickled_ends_the_stream_with_a_type_error():
    @ray.remote
    def bad():
        import threading

        yield 1
        yield threading.Lock()
        yield 2

    good, error = list(bad.remote())
    assert ray.get(good) == 1
    with pytest.raises(TypeError, match="lock") as caught:
        ray.get(error)
    assert isinstance(caught.value, RayTaskError)


def test_a_waiting_reader_is_woken_by_another_thread_that_leads():
    import threading

    results = []
    streams = [count.remote(50) for _ in range(4)]
    threads = [threading.Thread(target=lambda s=s: results.append([ray.get(ref) for ref in s])) for s in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [list(range(50))] * 4


def test_next_async_gives_a_nil_ref_when_its_time_is_over(tmp_path):
    @ray.remote
    def slow():
        wait_for(tmp_path / "go")
        yield 1

    stream = slow.remote()

    async def main():
        early = await stream._next_async(timeout_s=0.05)
        (tmp_path / "go").touch()
        return early, await (await anext(stream))

    early, value = asyncio.run(main())
    assert early.is_nil()
    assert value == 1
    assert stream._next_sync.__self__ is stream
    with pytest.raises(StopIteration):
        stream._next_sync(1.0)


def test_static_returns_of_a_generator_keep_what_was_made_before_an_error():
    @ray.remote
    def fail():
        yield 1
        raise ValueError("second")

    first, *rest = fail.options(num_returns=3).remote()
    assert ray.get(first) == 1
    for ref in rest:
        with pytest.raises(ValueError, match="second"):
            ray.get(ref)


def test_dynamic_returns_live_with_the_one_ref_and_their_error_comes_last():
    @ray.remote(num_returns="dynamic")
    def parts():
        for number in range(3):
            yield np.full(200_000, number)
        raise ValueError("after")

    gc.collect()
    before = owned()
    ref = parts.remote()
    items = list(ray.get(ref))
    assert [int(ray.get(item)[0]) for item in items[:3]] == [0, 1, 2]
    with pytest.raises(ValueError, match="after"):
        ray.get(items[3])
    del ref, items
    gc.collect()
    wait_until(lambda: owned() == before)


def test_a_driver_leaves_no_worker_behind_a_blocked_generator():
    """Checked by the cluster fixture: all processes end with the session, this producer too."""

    @ray.remote(_generator_backpressure_num_objects=1)
    def forever():
        while True:
            yield os.getpid()

    stream = forever.remote()
    assert psutil.pid_exists(ray.get(next(stream)))
    forever.stream = stream  # kept beyond this test: the session ends while it is open


def test_a_yield_may_give_several_items():
    @ray.remote(_num_objects_per_yield=2)
    def pairs(items):
        yield from items

    assert [ray.get(ref) for ref in pairs.remote([(1, 2), [3, 4]])] == [1, 2, 3, 4]
    for wrong in ((1, 2, 3), (1,), 5, "ab"):
        good, also, error = list(pairs.remote([(1, 2), wrong]))
        assert ray.get([good, also]) == [1, 2]
        with pytest.raises(ValueError, match="_num_objects_per_yield=2"):
            ray.get(error)
