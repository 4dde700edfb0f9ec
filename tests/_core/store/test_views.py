"""Views of shared memory: they hold their ref, they are known while they live, and none is opened on what has moved."""

import gc
import mmap
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from ray._core.common import object_header
from ray._core.common.object_header import HEADER_SIZE
from ray._core.store import serialization
from ray._core.store.views import Views

KEY, OTHER = b"k" * 28, b"o" * 28


class Ref:
    def binary(self) -> bytes:
        return KEY


@pytest.fixture
def arena():
    """Memory with one array in it, and where that lies."""
    memory = mmap.mmap(-1, 1 << 16)
    view = memoryview(memory)
    serialized = serialization.serialize(np.arange(100))
    serialized.write_into(view[HEADER_SIZE : HEADER_SIZE + serialized.size])
    object_header.write(view[:HEADER_SIZE], KEY)
    return SimpleNamespace(
        map=memory,
        window=lambda offset, size: view[offset : offset + size],
        header=view[:HEADER_SIZE],
        place=SimpleNamespace(offset=HEADER_SIZE, size=serialized.size),
    )


def test_a_value_holds_the_ref_and_is_known_until_it_is_gone(arena):
    views, ref = Views(arena), Ref()
    value = serialization.deserialize(views.open(ref, arena.place))
    seen = weakref.ref(ref)
    del ref
    gc.collect()
    assert seen() is not None
    assert views.viewed([KEY, OTHER]) == [KEY]
    assert value.sum() == 4950
    assert not value.flags.writeable
    part = value[3:7]
    del value
    gc.collect()
    assert views.viewed([KEY]) == [KEY]
    del part
    gc.collect()
    assert seen() is None
    assert views.viewed([KEY]) == []


@pytest.mark.parametrize("change", [object_header.clear, lambda header: object_header.set_leaving(header, True)])
def test_nothing_is_opened_on_what_has_moved_or_is_about_to(arena, change):
    views = Views(arena)
    change(arena.header)
    assert views.open(Ref(), arena.place) is None
    gc.collect()
    assert views.viewed([KEY]) == []


def test_nothing_is_opened_where_another_object_lies_now(arena):
    object_header.write(arena.header, OTHER)
    assert Views(arena).open(Ref(), arena.place) is None


def test_an_object_that_stays_after_all_can_be_read_again(arena):
    views = Views(arena)
    object_header.set_leaving(arena.header, True)
    assert views.open(Ref(), arena.place) is None
    object_header.set_leaving(arena.header, False)
    assert serialization.deserialize(views.open(Ref(), arena.place)).sum() == 4950
