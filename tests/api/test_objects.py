"""Objects: put, get, wait, refs, and how long values live (docs: "Objects")."""

import asyncio
import concurrent.futures
import gc
import pickle
import time
import weakref

import numpy as np
import pytest
from helpers import wait_until

import ray
from ray.exceptions import GetTimeoutError, RayTaskError

pytestmark = pytest.mark.usefixtures("shared_ray")
MIB = 1 << 20


@ray.remote
def echo(value):
    return value


@ray.remote
def pass_gate(gate, value="passed"):
    gate.wait()
    return value


@ray.remote
def fail():
    raise ValueError("failed")


class Custom:
    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return isinstance(other, Custom) and self.value == other.value

    __hash__ = None


# --- put and get ---

VALUES = [
    None,
    True,
    -(2**70),
    1.5,
    "text \N{SNOWMAN}",
    b"bytes",
    [1, [2, (3, {4})]],
    {"key": {"inner": None}},
    {1, 2},
    frozenset({1}),
    range(3),
    complex(1, 2),
    slice(1, 2),
    ValueError,
    len,
    Custom([1]),
    b"",
    (),
    "x" * 300_000,
    b"y" * 300_000,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
def test_values_come_back_equal_from_put_and_from_a_task(value):
    for back in (ray.get(ray.put(value)), ray.get(echo.remote(value))):
        assert type(back) is type(value)
        assert back == value


def test_what_get_gives_is_a_copy():
    original = {"key": [1]}
    ref = ray.put(original)
    original["key"].append(2)
    first = ray.get(ref)
    assert first == {"key": [1]}
    first["key"].append(3)
    assert ray.get(ref) == {"key": [1]}


def test_get_of_a_list_keeps_order_and_repetition():
    one, two = ray.put(1), ray.put(2)
    assert ray.get([two, one, two]) == [2, 1, 2]
    assert ray.get([]) == []


def test_get_refuses_what_is_no_ref():
    ref = ray.put(1)
    with pytest.raises(ValueError):
        ray.get(5)
    with pytest.raises(ValueError):
        ray.get((ref,))
    with pytest.raises(ValueError):
        ray.get({ref})
    with pytest.raises((TypeError, ValueError)):
        ray.get([ref, 5])
    with pytest.raises((TypeError, ValueError)):
        ray.get([[ref]])


def test_put_refuses_a_ref():
    with pytest.raises(TypeError, match="not allowed"):
        ray.put(ray.put(1))
    assert ray.get(ray.get(ray.put([ray.put(1)]))[0]) == 1


def test_put_refuses_another_owner():
    with pytest.raises(ValueError):
        ray.put(1, _owner=5)


def test_put_refuses_what_cannot_be_pickled():
    import threading

    with pytest.raises(TypeError):
        ray.put(threading.Lock())


def test_get_times_out_with_rays_and_pythons_class(gate):
    ref = pass_gate.remote(gate)
    for timeout in (0.1, 0):
        with pytest.raises(GetTimeoutError) as caught:
            ray.get(ref, timeout=timeout)
        assert isinstance(caught.value, TimeoutError)
        with pytest.raises(GetTimeoutError):
            ray.get([ray.put(1), ref], timeout=timeout)
    gate.open()
    assert ray.get(ref, timeout=30) == "passed"


def test_get_with_no_time_gives_what_is_there():
    ref = ray.put(1)
    assert ray.get(ref, timeout=0) == 1
    done = echo.remote(2)
    ray.wait([done])
    assert ray.get(done, timeout=0) == 2


def test_a_timeout_is_kept_to(gate):
    ref = pass_gate.remote(gate)
    begun_at_s = time.monotonic()
    with pytest.raises(GetTimeoutError):
        ray.get(ref, timeout=0.5)
    assert 0.4 < time.monotonic() - begun_at_s < 5
    gate.open()


def test_a_ref_can_be_read_in_threads_at_once(gate):
    ref = pass_gate.remote(gate, "seen")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(ray.get, ref) for _ in range(4)]
        gate.open()
        assert [reader.result(timeout=30) for reader in readers] == ["seen"] * 4


# --- wait ---


def test_wait_tells_ready_from_not_ready(gate):
    quick, slow = ray.put(1), pass_gate.remote(gate)
    assert ray.wait([slow, quick]) == ([quick], [slow])
    assert ray.wait([slow, quick], num_returns=2, timeout=0.1) == ([quick], [slow])
    assert ray.wait([slow], timeout=0) == ([], [slow])
    gate.open()
    assert ray.wait([slow, quick], num_returns=2) == ([slow, quick], [])


def test_wait_gives_no_more_than_asked_for_and_each_list_in_input_order():
    refs = [ray.put(number) for number in range(5)]
    for num_returns in range(1, 6):
        ready, others = ray.wait(refs, num_returns=num_returns)
        assert len(ready) == num_returns
        assert sorted(ready + others, key=refs.index) == refs
        assert ready == sorted(ready, key=refs.index)
        assert others == sorted(others, key=refs.index)


def test_failed_objects_are_ready():
    ref = fail.remote()
    assert ray.wait([ref]) == ([ref], [])


def test_wait_for_nothing_is_nothing():
    assert ray.wait([]) == ([], [])


def test_wait_without_fetching_is_the_same_on_one_node():
    ref = ray.put(b"x" * MIB)
    assert ray.wait([ref], fetch_local=False) == ([ref], [])


def test_wait_refuses_bad_arguments():
    ref, other = ray.put(1), ray.put(2)
    for refs in (ref, (ref,), [1], None, {ref}):
        with pytest.raises(TypeError):
            ray.wait(refs)
    with pytest.raises(ValueError):
        ray.wait([ref, ref])
    for num_returns in (0, -1, 3):
        with pytest.raises(ValueError):
            ray.wait([ref, other], num_returns=num_returns)
    with pytest.raises(ValueError):
        ray.wait([ref], timeout=-1)


def test_wait_drains_many_tasks_one_by_one():
    pending = [echo.remote(number) for number in range(100)]
    seen = set()
    while pending:
        (ready,), pending = ray.wait(pending)
        seen.add(ray.get(ready))
    assert seen == set(range(100))


# --- numpy ---


def test_small_and_large_arrays_come_back_equal():
    for array in (np.arange(10), np.arange(MIB, dtype=np.float32).reshape(1024, 1024), np.array([]), np.array(5)):
        back = ray.get(ray.put(array))
        np.testing.assert_array_equal(back, array)
        assert back.dtype == array.dtype


def test_arrays_are_read_only():
    for size in (10, MIB):
        for ref in (ray.put(np.zeros(size)), echo.remote(np.zeros(size))):
            back = ray.get(ref)
            assert not back.flags.writeable
            with pytest.raises(ValueError):
                back[0] = 1


def test_array_arguments_are_read_only_and_copies_are_not():
    @ray.remote
    def write(array):
        copy = array.copy()
        copy[0] = 1
        return array.flags.writeable, copy[0]

    assert ray.get(write.remote(np.zeros(MIB))) == (False, 1)


def test_large_arrays_are_views_of_one_memory():
    ref = ray.put(np.zeros(MIB))
    first, second = ray.get(ref), ray.get(ref)
    assert np.shares_memory(first, second)
    assert first.ctypes.data % 64 == 0


def test_arrays_inside_containers_are_views_too():
    back = ray.get(ray.put({"a": [np.arange(MIB)], "b": np.ones(MIB)}))
    assert back["a"][0][-1] == MIB - 1
    assert back["b"].sum() == MIB
    assert not back["b"].flags.writeable


def test_strange_arrays_come_back_equal():
    for array in (
        np.arange(100).reshape(10, 10)[::2, ::3],
        np.asfortranarray(np.arange(100.0).reshape(10, 10)),
        np.array([1, "a", None], dtype=object),
        np.array(["a", "bc"]),
        np.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "f8")]),
        np.datetime64("2020-01-01"),
    ):
        np.testing.assert_array_equal(ray.get(ray.put(array)), array)


def test_an_array_outlives_its_ref():
    array = ray.get(ray.put(np.full(4 * MIB, 7, np.uint8)))
    gc.collect()
    others = [ray.put(np.zeros(4 * MIB, np.uint8)) for _ in range(10)]
    assert (array == 7).all()
    del others


def test_a_large_object_passes_through_tasks():
    array = np.arange(4 * MIB, dtype=np.int64)
    ref = echo.remote(echo.remote(ray.put(array)))
    np.testing.assert_array_equal(ray.get(ref), array)


# --- refs ---


def test_a_ref_tells_its_ids():
    ref = echo.remote(1)
    assert len(ref.binary()) == 28
    assert ref.hex() == ref.binary().hex()
    assert repr(ref) == str(ref) == f"ObjectRef({ref.hex()})"
    assert ref.task_id().binary() == ref.binary()[:24]
    assert ref.job_id().hex() == ray.get_runtime_context().get_job_id()
    assert not ref.is_nil()
    assert ray.ObjectRef.nil().is_nil()
    assert ray.ObjectID is ray.ObjectRef


def test_refs_are_equal_by_identity_of_the_object():
    one, two = ray.put(1), ray.put(1)
    assert one != two
    assert len({one, two, one}) == 2
    assert one == ray.ObjectRef(one.binary())
    assert ray.ObjectRef[int] is not None


def test_a_refs_future_gives_the_value_or_the_error():
    future = echo.remote(5).future()
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(timeout=30) == 5
    with pytest.raises(ValueError) as caught:
        fail.remote().future().result(timeout=30)
    assert isinstance(caught.value, RayTaskError)


def test_refs_can_be_awaited():
    async def main():
        first = await echo.remote(1)
        others = await asyncio.gather(*[echo.remote(number) for number in range(5)])
        with pytest.raises(ValueError):
            await fail.remote()
        assert await ray.put("put") == "put"
        return first, others

    assert asyncio.run(main()) == (1, [0, 1, 2, 3, 4])


def test_waiting_for_a_ref_leaves_the_loop_free(gate):
    async def main():
        ref = pass_gate.remote(gate)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(ref.as_future()), 0.1)
        gate.open()
        return await ref

    assert asyncio.run(main()) == "passed"


def test_asyncio_wait_takes_refs_as_futures():
    async def main():
        done, pending = await asyncio.wait([asyncio.ensure_future(_value(echo.remote(n))) for n in range(3)])
        return sorted(task.result() for task in done), pending

    async def _value(ref):
        return await ref

    assert asyncio.run(main()) == ([0, 1, 2], set())


def test_a_callback_gets_the_value():
    values = []
    echo.remote("called")._on_completed(values.append)
    wait_until(lambda: values == ["called"])


# --- life ---


def test_a_borrower_keeps_the_value_alive():
    @ray.remote
    class Keeper:
        def keep(self, refs):
            self.refs = refs

        def read(self):
            return ray.get(self.refs[0])[0]

    keeper = Keeper.remote()
    ref = ray.put(np.full(MIB, 3.0))
    ray.get(keeper.keep.remote([ref]))
    del ref
    gc.collect()
    assert ray.get(keeper.read.remote()) == 3.0


def test_a_ref_inside_a_live_object_keeps_its_value_alive():
    inner = ray.put("inner")
    outer = ray.put([inner])
    del inner
    gc.collect()
    assert ray.get(ray.get(outer)[0]) == "inner"


def test_refs_returned_by_tasks_keep_their_values():
    @ray.remote
    def make():
        return [ray.put(np.full(MIB, n)) for n in range(3)]

    assert [ray.get(ref)[0] for ref in ray.get(make.remote())] == [0, 1, 2]


def test_refs_go_through_several_hands():
    @ray.remote
    def hand_on(refs, depth):
        return ray.get(hand_on.remote(refs, depth - 1)) if depth else ray.get(refs[0])

    assert ray.get(hand_on.remote([ray.put("treasure")], 3)) == "treasure"


def test_the_space_of_dropped_objects_is_used_again():
    for number in range(20):  # 20 times 64 MiB in a store of 256
        assert ray.get(ray.put(np.full(64 * MIB, number, np.uint8)))[-1] == number


def test_large_values_put_and_dropped_in_turn_lie_in_the_same_memory():
    """Memory that this process has mapped is the fastest to write to: so each put waits for the last one's free."""
    array, addresses = np.ones(2_000_000), []
    for _ in range(8):
        addresses.append(ray.get(ray.put(array)).ctypes.data)
    assert len(set(addresses[4:])) == 1  # others may free theirs at the beginning


def test_live_objects_beyond_the_store_are_kept():
    refs = [ray.put(np.full(32 * MIB, number, np.uint8)) for number in range(12)]  # 384 MiB in a store of 256
    assert [ray.get(ref)[-1] for ref in refs] == list(range(12))


def test_a_dropped_ref_frees_the_value_in_the_drivers_memory():
    class Marked:
        pass

    value = Marked()
    seen = weakref.ref(value)
    ref = ray.put(value)
    del value, ref
    gc.collect()
    assert seen() is None


def test_a_ref_survives_cloudpickle_out_of_band():
    ref = ray.put("out of band")
    back = ray.cloudpickle.loads(ray.cloudpickle.dumps(ref))
    assert back == ref
    assert ray.get(back) == "out of band"


def test_refs_out_of_band_may_be_forbidden(fresh_ray, monkeypatch):
    monkeypatch.setenv("RAY_allow_out_of_band_object_ref_serialization", "0")
    fresh_ray()
    ref = ray.put(1)
    with pytest.raises(ray.exceptions.OufOfBandObjectRefSerializationException):
        ray.cloudpickle.dumps([ref])
    assert ray.get(ray.get(ray.put([ref]))) == [1]


# --- serialization hooks ---


def test_reduce_and_getstate_are_honoured():
    class Stateful:
        def __init__(self):
            self.kept, self.dropped = 1, 2

        def __getstate__(self):
            return {"kept": self.kept}

    back = ray.get(echo.remote(Stateful()))
    assert back.kept == 1
    assert not hasattr(back, "dropped")


def test_out_of_band_buffers_of_users_are_kept():
    class Buffered:
        def __init__(self, data):
            self.data = data

        def __reduce_ex__(self, protocol):
            return Buffered, (pickle.PickleBuffer(self.data),)

    data = b"z" * MIB
    assert bytes(ray.get(ray.put(Buffered(data))).data) == data


def test_recursive_values_come_back_recursive():
    loop = [1]
    loop.append(loop)
    back = ray.get(ray.put(loop))
    assert back[1] is back


def test_shared_parts_stay_shared():
    part = [1]
    first, second = ray.get(ray.put((part, part)))
    assert first is second
