"""Values come back equal; large buffers come back as read-only views that keep their pin alive."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray._core.store import serialization
from ray._core.store.arena import SlabAllocator

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(VALUES)
def test_plain_values_come_back_equal(value):
    assert serialization.deserialize(serialization.serialize(value).to_blob()) == value


def test_arrays_come_back_read_only_and_aligned():
    arrays = [np.arange(1000), np.ones((7, 3)), np.zeros(0)]
    back = serialization.deserialize(serialization.serialize(arrays).to_blob())
    for before, after in zip(arrays, back, strict=True):
        np.testing.assert_array_equal(before, after)
        assert not after.flags.writeable


def test_functions_of_main_travel_by_value():
    scope = {"__name__": "__main__"}
    exec("def double(x):\n    return factor * x\nfactor = 2", scope)
    assert serialization.deserialize(serialization.serialize([scope["double"]]).to_blob())[0](21) == 42


def test_errors_come_back_as_errors():
    blob = serialization.serialize_error(ValueError("no")).to_blob()
    back = serialization.deserialize(blob)
    assert isinstance(back, serialization.ErrorValue)
    assert repr(back.error) == "ValueError('no')"


class Celsius:
    def __init__(self, degrees):
        self.degrees = degrees


def test_a_custom_serializer_is_used_until_it_is_deregistered():
    serialization.register(Celsius, lambda value: value.degrees * 10, lambda state: Celsius(state // 10 + 1))
    try:
        assert serialization.deserialize(serialization.serialize(Celsius(5)).to_blob()).degrees == 6
    finally:
        serialization.deregister(Celsius)
    assert serialization.deserialize(serialization.serialize(Celsius(5)).to_blob()).degrees == 5


def test_what_cannot_be_pickled_raises():
    with pytest.raises(TypeError, match="lock"):
        serialization.serialize(__import__("threading").Lock())


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5000), st.integers(0, 50))))
def test_objects_in_slabs_never_overlap_and_empty_slabs_go_back(steps):
    allocator, live, slabs, next_offset = SlabAllocator(slab_size=4096), {}, {}, 0
    for is_put, size, pick in steps:
        if is_put:
            offset = allocator.allocate(size)
            if offset is None:
                extent, for_one = allocator.slab_for(size)
                offset = allocator.add_slab(next_offset, extent, size, for_one)
                slabs[next_offset] = extent
                next_offset += extent
                if for_one and pick % 2:  # sealed, and with that the raylet's
                    allocator.sealed(offset)
                    assert allocator.free(offset) is None
                    continue
            assert offset is not None and offset % 64 == 0
            assert all(offset + size <= start or start + length <= offset for start, length in live.items())
            assert any(start <= offset and offset + size <= start + length for start, length in slabs.items())
            live[offset] = size
        elif live:
            offset = sorted(live)[pick % len(live)]
            del live[offset]
            emptied = allocator.free(offset)
            if emptied is not None:
                end = emptied + slabs.pop(emptied)
                assert not any(emptied <= start < end for start in live)
    for offset in live:
        allocator.free(offset)
    assert len(allocator._slabs) <= 1
