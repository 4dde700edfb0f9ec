"""Positions of streams: whatever the order in which items, the end and the consumer come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray._core.worker.stream import Inconsistent, Stream


def take_all(stream: Stream) -> list[int]:
    taken = []
    while stream.is_ready:
        taken.append(stream.take())
    return taken


@given(st.integers(0, 8).flatmap(lambda n: st.permutations([*range(1, n + 1), "end", *["take"] * 3])))
def test_the_consumer_takes_each_item_once_and_in_order(events: list[object]) -> None:
    stream, taken = Stream(), []
    count = sum(isinstance(event, int) for event in events)
    for event in events:
        if isinstance(event, int):
            assert stream.arrive(event)
            assert not stream.arrive(event), "the same item again is not wanted"
        elif event == "end":
            stream.close(count)
        elif stream.is_ready:
            taken.append(stream.take())
        stream.validate()
        assert not stream.is_exhausted or len(taken) == count
    taken += take_all(stream)
    assert taken == list(range(1, count + 1))
    assert stream.is_exhausted


@given(st.sets(st.integers(1, 8)), st.integers(0, 8))
def test_an_error_is_taken_after_the_items_before_the_first_gap(arrived: set[int], taken: int) -> None:
    stream = Stream()
    for index in sorted(arrived):
        stream.arrive(index)
    whole = stream.arrived
    for _ in range(min(taken, whole)):
        stream.take()
    place, beyond = stream.fail()
    assert place == whole + 1
    assert set(beyond) == {index for index in arrived if index > whole}
    assert stream.arrive(place)
    take_all(stream)
    assert stream.is_exhausted
    assert stream.end == whole + 1
    stream.validate()


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6))
def test_a_task_that_runs_again_repeats_what_was_there(first: int, second: int, taken: int) -> None:
    """The first run crashes after `first` items, the second gives `second` in all."""
    stream, kept = Stream(), 0
    for index in range(1, first + 1):
        kept += stream.arrive(index)
    for _ in range(min(taken, first)):
        stream.take()
    for index in range(1, second + 1):
        kept += stream.arrive(index)
    if second < first:
        with pytest.raises(Inconsistent):
            stream.close(second)
        assert stream.end is None
    else:
        stream.close(second)
        take_all(stream)
        assert stream.is_exhausted
    assert kept == max(first, second)
    stream.validate()


def test_a_finished_task_that_runs_again_must_give_as_many_items() -> None:
    stream = Stream()
    stream.arrive(1)
    stream.close(1)
    stream.close(1)
    with pytest.raises(Inconsistent, match="1 items were there before, and now it gave 2"):
        stream.close(2)


def test_an_error_after_all_items_are_there_is_no_item() -> None:
    stream = Stream()
    stream.arrive(1)
    stream.close(1)
    assert stream.fail() == (None, [])


@given(st.sets(st.integers(1, 8)), st.sets(st.integers(1, 8)), st.integers(0, 8))
def test_dropping_frees_each_item_once(before: set[int], after: set[int], taken: int) -> None:
    stream = Stream()
    kept = {index for index in sorted(before) if stream.arrive(index)}
    took = set()
    for _ in range(taken):
        if stream.is_ready:
            took.add(stream.take())
    freed = stream.drop()
    assert sorted(freed) == sorted(kept - took)
    assert not any(stream.arrive(index) for index in sorted(after)), "nobody will take later ones"
    assert not stream.is_ready
    stream.validate()
