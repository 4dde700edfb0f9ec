"""Memory of downloads is used again, and goes back to the system when nobody wants it."""

import gc
import pickle

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ray._private.test_utils import wait_for_condition
from ray.util.client.buffer_pool import BufferPool

SIZE = 1 << 20


def test_memory_comes_back_with_the_last_view() -> None:
    pool = BufferPool(least_size=1000)
    array = np.frombuffer(pool.take(SIZE), dtype=np.uint8)
    part = array[10:20]
    part[:] = 7
    del array
    gc.collect()
    assert pool.free_bytes == 0
    assert part.tolist() == [7] * 10
    del part
    gc.collect()
    assert pool.free_bytes == SIZE
    again = np.frombuffer(pool.take(SIZE - 100), dtype=np.uint8)
    assert (pool.free_bytes, len(again)) == (0, SIZE - 100)


def test_values_made_of_it_keep_it() -> None:
    pool = BufferPool(least_size=1)
    value = np.arange(1000)
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(value, 5, buffer_callback=buffers.append)
    target = pool.take(value.nbytes)
    memoryview(target).cast("B")[:] = buffers[0].raw()
    copy = pickle.loads(data, buffers=[target])
    del target
    other = pool.take(value.nbytes)
    memoryview(other).cast("B")[:] = bytes(value.nbytes)
    assert np.array_equal(copy, value)


def test_what_is_not_wanted_goes_back_to_the_system() -> None:
    pool = BufferPool(least_size=1, kept_s=0.05)
    pool.take(SIZE)
    gc.collect()
    wait_for_condition(lambda: pool.free_bytes == 0, timeout=10)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 5000), max_size=20))
def test_no_more_than_the_limit_is_kept(sizes: list[int]) -> None:
    pool = BufferPool(least_size=1, kept_bytes=8000)
    views = [pool.take(size) for size in sizes]
    assert [len(view) for view in views] == sizes
    views.clear()
    assert pool.free_bytes <= 8000
    pool.clear()
