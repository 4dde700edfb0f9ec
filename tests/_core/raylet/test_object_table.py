"""Objects and slabs: nothing is released while something in it is needed, everything is in the end."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.raylet.objects import Free, ObjectTable, ReleaseExtent, TellHolder


def test_a_living_holder_is_told_of_free_space_and_a_dead_ones_slab_goes_with_its_last_object():
    table = ObjectTable()
    table.add_slab(4096, "p")
    for number in range(2):
        assert table.sealed(bytes([number]), 4096 + number * 64, 64) == []
    assert table.free(b"\0") == [TellHolder("p", 4096)]
    assert table.holder_gone("p") == []
    assert table.free(b"\1") == [ReleaseExtent(4096)]


def test_the_slab_of_one_object_is_the_raylets_once_that_is_sealed_and_goes_with_it():
    table = ObjectTable()
    table.add_slab(0, "p", for_one=True)
    assert table.sealed(b"x", 64, 64) == []
    assert table.holder_gone("p") == []
    assert table.free(b"x") == [ReleaseExtent(0)]
    table.add_slab(0, "p", for_one=True)
    assert table.holder_gone("p") == [ReleaseExtent(0)], "nothing was sealed in it"
    table.add_slab(0, "p", for_one=True)
    assert table.free(b"y") == []
    assert table.sealed(b"y", 64, 64) == [ReleaseExtent(0)], "its free was quicker"
    table.validate()


def test_an_empty_slab_goes_with_its_holder():
    table = ObjectTable()
    table.add_slab(0, "p")
    assert table.holder_gone("p") == [ReleaseExtent(0)]


def test_a_free_that_overtakes_the_word_of_the_object_is_not_lost():
    table = ObjectTable()
    table.add_slab(0, "p")
    assert table.free(b"x") == []
    assert table.sealed(b"x", 64, 64) == [TellHolder("p", 64)]
    assert table.objects == {}


def test_a_free_means_the_attempts_up_to_one_however_late_it_comes():
    table = ObjectTable()
    table.add_slab(0, "p")
    table.sealed(b"x", 64, 64, attempt=1)
    assert table.free(b"x", Free(attempt=0, for_good=False)) == [], "it was made again before this came"
    assert table.sealed(b"x", 128, 64, attempt=0) == [TellHolder("p", 128)], "and this one was meant"
    assert table.objects[b"x"].attempt == 1
    table.sealed(b"x", 192, 64, attempt=2)
    assert table.free(b"x", Free(attempt=1, for_good=False)) == [TellHolder("p", 64)]
    assert table.objects[b"x"].attempt == 2 and not table.older
    assert table.free(b"x", Free(attempt=3, for_good=True)) == [TellHolder("p", 192)]
    assert table.sealed(b"x", 256, 64, attempt=2) == [TellHolder("p", 256)]
    assert table.sealed(b"x", 320, 64, attempt=3) == [TellHolder("p", 320)], "the one that was to be there"
    table.validate()


def test_a_second_attempts_copy_leaves_the_first_to_its_readers_until_both_are_freed():
    table = ObjectTable()
    table.add_slab(0, "p")
    table.add_slab(4096, "q")
    table.sealed(b"x", 0, 64)
    assert table.sealed(b"x", 4096, 64) == []
    assert table.objects[b"x"].offset == 4096 and table.used_bytes == 128
    table.validate()
    assert table.free(b"x") == [TellHolder("q", 4096), TellHolder("p", 0)]
    assert table.used_bytes == 0


def test_one_copy_goes_and_the_other_stays():
    table = ObjectTable()
    for number, holder in enumerate("pqr"):
        table.add_slab(4096 * number, holder)
        table.sealed(b"x", 4096 * number, 64)
    first, second = table.older[b"x"]
    third = table.objects[b"x"]
    assert table.drop(b"x", third) == [TellHolder("r", 8192)]
    assert table.drop(b"x", third) == []
    table.validate()
    assert table.drop(b"x", first) == [TellHolder("p", 0)]
    assert table.objects == {b"x": second} and not table.older and table.used_bytes == 64
    assert table.drop(b"x", second) == [TellHolder("q", 4096)]
    assert table.drop(b"x", second) == [] and table.sealed(b"x", 64, 64) == []  # no free that waits for a seal


def test_memory_that_other_nodes_read_stays_until_they_have_it():
    table = ObjectTable()
    table.add_slab(0, "p")
    table.sealed(b"x", 64, 64)
    table.pin(64)
    table.pin(64)
    assert table.is_pinned(b"x")
    assert table.free(b"x") == [] and table.objects == {}
    table.validate()
    assert table.holder_gone("p") == []
    assert table.unpin(64) == []
    assert table.unpin(64) == [ReleaseExtent(0)]
    table.validate()


def test_a_copy_that_did_not_come_whole_goes_once_nobody_reads_what_came():
    table = ObjectTable()
    assert table.abandoned(0, 64) == [ReleaseExtent(0)]
    table.pin(4160)
    assert table.abandoned(4096, 4160) == []
    table.validate()
    assert table.unpin(4160) == [ReleaseExtent(4096)]
    table.validate()


STEPS = st.lists(
    st.tuples(st.sampled_from(["slab", "seal", "seal", "free", "drop", "gone"]), st.integers(0, 30)), min_size=15
)


@given(STEPS)
def test_extents_are_released_once_and_only_when_empty(steps):
    table, extents, slabs, for_one, count = ObjectTable(), set(), {}, set(), 0
    for action, pick in steps:
        orders = []
        if action == "slab":
            offset = 4096 * count
            count += 1
            slabs[offset] = f"holder {pick % 3}"
            extents.add(offset)
            if pick % 5 == 4:
                for_one.add(offset)
            table.add_slab(offset, slabs[offset], pick % 5 == 4)
        elif action == "seal" and (own := sorted(o for o, holder in slabs.items() if holder)):
            slab = own[pick % len(own)]
            if slab in for_one:
                slabs[slab] = None  # from now on, the raylet's
            orders = table.sealed(bytes([pick % 12]), slab + 64 * pick, 64)
        elif action == "free":
            orders = table.free(bytes([pick % 12]))
        elif action == "drop" and table.objects:
            key = sorted(table.objects)[pick % len(table.objects)]
            copies = [*table.older.get(key, ()), table.objects[key]]
            orders = table.drop(key, copies[pick % len(copies)])
        elif action == "gone":
            gone = f"holder {pick % 3}"
            slabs = {offset: None if holder == gone else holder for offset, holder in slabs.items()}
            orders = table.holder_gone(gone)
        for order in orders:
            if isinstance(order, ReleaseExtent):
                extents.remove(order.offset)
                del slabs[order.offset]
                copies = [*table.objects.values(), *(each for older in table.older.values() for each in older)]
                assert not any(placed.slab == order.offset for placed in copies)
            else:
                assert order.holder is not None
        table.validate()
    for key in list(table.objects):
        for order in table.free(key):
            if isinstance(order, ReleaseExtent):
                extents.remove(order.offset)
    for number in range(3):
        for order in table.holder_gone(f"holder {number}"):
            extents.remove(order.offset)
    assert extents == set()
