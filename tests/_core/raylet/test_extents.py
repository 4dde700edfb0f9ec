"""Extents of shared memory and of the disk behind it never overlap, and all of it comes back."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.raylet.extents import PAGE, TieredExtents


def test_the_disk_lies_behind_the_memory():
    extents = TieredExtents(3 * PAGE - 5, 10 * PAGE)
    assert extents.allocate(2 * PAGE) == (0, 2 * PAGE)
    assert extents.allocate(PAGE) is None
    assert extents.allocate_on_disk(PAGE) == (3 * PAGE, PAGE)
    assert extents.allocate_on_disk(11 * PAGE) is None
    assert extents.on_disk(0) is None
    assert extents.on_disk(3 * PAGE) == 0
    assert (extents.used, extents.used_on_disk) == (2 * PAGE, PAGE)
    assert extents.free(3 * PAGE) == PAGE
    assert extents.used_on_disk == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5 * PAGE)), min_size=10, max_size=40), st.randoms())
def test_extents_never_overlap_and_all_come_back(requests, rng):
    extents, live = TieredExtents(16 * PAGE, 16 * PAGE), {}
    for on_disk, size in requests:
        extent = extents.allocate_on_disk(size) if on_disk else extents.allocate(size)
        if extent is None:
            for offset in rng.sample(sorted(live), len(live) // 2):
                assert extents.free(offset) == live.pop(offset)
            continue
        offset, given_size = extent
        assert given_size >= size
        assert all(offset + given_size <= other or other + live[other] <= offset for other in live)
        live[offset] = given_size
    for offset, size in live.items():
        assert extents.free(offset) == size
    assert extents.allocate(16 * PAGE) == (0, 16 * PAGE)
    assert extents.allocate_on_disk(16 * PAGE) == (16 * PAGE, 16 * PAGE)
