"""What is written as a file the first time, and through the map later, is there either way."""

import errno

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray._core.common import overflow
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


@pytest.fixture
def populated(monkeypatch):
    """(offset, size) of each part whose pages were mapped at once."""
    calls, original = [], overflow.populate

    def populate(whole, *part):
        calls.append(part)
        original(whole, *part)

    monkeypatch.setattr(overflow, "populate", populate)
    return calls


def test_only_memory_that_was_not_written_before_is_written_as_a_file(path, populated):
    arena = Arena(path, SIZE)
    data = memoryview(bytes(2 * BLOCK))
    assert not arena.first_writes.copy(0, data[: BLOCK - 1]), "not a whole block"
    assert arena.first_writes.copy(BLOCK, data)
    assert not populated
    assert not arena.first_writes.copy(BLOCK, data)
    assert populated == [(BLOCK, 2 * BLOCK)]
    assert not arena.first_writes.copy(BLOCK, data)
    assert populated == [(BLOCK, 2 * BLOCK)], "its pages are mapped already"
    assert arena.first_writes.copy(2 * BLOCK, data), "its second half is new"
    assert not arena.first_writes.copy(SIZE - BLOCK, data), "it does not lie in the arena's file"
    arena.first_writes.renewed(0, SIZE)
    assert arena.first_writes.copy(BLOCK, data)
    arena.close()


def test_pages_of_memory_that_others_have_used_are_mapped_at_once(path, populated):
    arena = Arena(path, SIZE)
    data = memoryview(bytes(2 * BLOCK))
    arena.first_writes.used(BLOCK, 2 * BLOCK)
    assert not arena.first_writes.copy(BLOCK, data)
    assert populated == [(BLOCK, 2 * BLOCK)]
    arena.first_writes.used(0, SIZE)
    assert not arena.first_writes.copy(BLOCK, data)
    assert populated == [(BLOCK, 2 * BLOCK)], "it is mapped here all the same"
    arena.close()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EFAULT])
def test_where_pages_cannot_be_mapped_at_once(path, monkeypatch, number):
    """An old kernel cannot: faults do it. Without memory writing as a file tells so, and the map would kill."""
    arena = Arena(path, SIZE)
    calls = []

    def populate(*_):
        calls.append(number)
        raise OSError(number, "no")

    monkeypatch.setattr(overflow, "populate", populate)
    arena.first_writes.used(0, SIZE)
    ways = [arena.first_writes.copy(0, memoryview(bytes(BLOCK))) for _ in range(2)]
    assert ways == ([False] * 2 if number == errno.EINVAL else [True] * 2)
    assert len(calls) == (1 if number == errno.EINVAL else 2)
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
