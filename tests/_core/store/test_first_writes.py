"""What is written as a file the first time, and through the map later, is there either way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray._core.store import first_writes, serialization
from ray._core.store.arena import Arena
from ray._core.store.first_writes import BLOCK

SIZE = 8 * BLOCK


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("arena") / "arena"
    with open(path, "wb") as file:
        file.truncate(SIZE)
    return str(path)


def test_only_memory_that_was_not_written_before_is_written_as_a_file(path):
    arena = Arena(path, SIZE)
    data = memoryview(bytes(2 * BLOCK))
    assert not arena.first_writes.copy(0, data[: BLOCK - 1]), "not a whole block"
    assert arena.first_writes.copy(BLOCK, data)
    assert not arena.first_writes.copy(BLOCK, data)
    assert arena.first_writes.copy(2 * BLOCK, data), "its second half is new"
    assert not arena.first_writes.copy(SIZE - BLOCK, data), "it does not lie in the arena's file"
    arena.first_writes.renewed(0, SIZE)
    assert arena.first_writes.copy(BLOCK, data)
    arena.close()


@given(st.lists(st.tuples(st.integers(0, SIZE), st.integers(1, 4 * BLOCK)), max_size=8), st.booleans())
def test_the_map_shows_what_was_written_last(path, pieces, by_two_threads):
    threshold, first_writes.TWO_THREADS_FROM = first_writes.TWO_THREADS_FROM, BLOCK if by_two_threads else SIZE
    arena, expected = Arena(path, SIZE), bytearray(SIZE)
    arena.window(0, SIZE)[:] = expected
    try:
        for number, (start, size) in enumerate(pieces, 1):
            data = bytes([number]) * min(size, SIZE - start)
            if not arena.first_writes.copy(start, memoryview(data)):
                arena.window(start, len(data))[:] = data
            expected[start : start + len(data)] = data
        assert arena.window(0, SIZE) == expected
    finally:
        first_writes.TWO_THREADS_FROM = threshold
        arena.close()


def test_a_value_is_laid_out_the_same_by_both_ways(path):
    arena = Arena(path, SIZE)
    serialized = serialization.serialize([np.arange(30_000), b"x" * 10, np.ones(20_000)])
    ways = set()

    def write(start, data):
        done = arena.first_writes.copy(64 + start, data)
        ways.add(done)
        return done

    target = arena.window(64, serialized.size)
    target[:] = bytes(serialized.size)  # what lies between the parts is not written
    serialized.write_into(target, write)
    assert ways == {True, False}
    assert bytes(target) == serialized.to_blob()
    arena.close()
