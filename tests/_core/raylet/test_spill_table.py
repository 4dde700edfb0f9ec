"""Objects leave whole slabs at a time, oldest first; none is lost, and a file goes with its last object."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.raylet.objects import FOR_GOOD, Placed
from ray._core.raylet.spill_table import SpillTable, Url

SLAB = 100


def objects_in(*slabs: int) -> dict[bytes, Placed]:
    """One object for each number, which names its slab."""
    return {bytes([index]): Placed(index, 10, slab) for index, slab in enumerate(slabs)}


def sizes_of(objects: dict[bytes, Placed]) -> dict[int, int]:
    return dict.fromkeys((placed.slab for placed in objects.values()), SLAB)


def test_whole_slabs_are_chosen_oldest_first_until_there_is_enough():
    objects = objects_in(1, 2, 1, 3)
    batch = SpillTable(100).choose(objects, sizes_of(objects), needed=SLAB)
    assert sorted(batch.objects) == [b"\0", b"\2"]


def test_more_is_taken_when_little_is_needed_so_that_files_are_not_small():
    objects = objects_in(1, 2, 3)
    batch = SpillTable(100).choose(objects, sizes_of(objects), needed=1, least=2 * SLAB)
    assert len(batch.objects) == 2


def test_what_was_refused_is_left_alone_for_a_round():
    table, objects = SpillTable(100), objects_in(1, 2)
    first = table.choose(objects, sizes_of(objects), needed=SLAB)
    assert table.voted(first, [b"\0", b"unknown"]) == [b"\0"]
    table.ended(first)
    assert list(table.choose(objects, sizes_of(objects), needed=SLAB).objects) == [b"\1"]
    assert list(table.choose(objects, sizes_of(objects), needed=SLAB).objects) == [b"\0"]


def test_what_is_on_disk_already_leaves_without_being_written():
    table, objects = SpillTable(100), objects_in(1)
    batch = table.choose(objects, sizes_of(objects), needed=1)
    table.written(batch, {b"\0": Url("f", 0, 10)})
    table.ended(batch)
    again = table.choose(objects, sizes_of(objects), needed=1)
    assert list(again.objects) == [b"\0"]
    assert table.to_write(again) == {}


def test_a_free_during_the_way_out_waits_for_its_end():
    table, objects = SpillTable(100), objects_in(1)
    batch = table.choose(objects, sizes_of(objects), needed=1)
    assert table.freed(b"\0") == (False, None)
    assert table.to_write(batch) == {}
    assert table.ended(batch) == {b"\0": FOR_GOOD}
    assert table.freed(b"\0") == (True, None)


def test_a_file_goes_with_its_last_object():
    table, objects = SpillTable(100), objects_in(1, 1)
    batch = table.choose(objects, sizes_of(objects), needed=1)
    table.written(batch, {b"\0": Url("f", 0, 10), b"\1": Url("f", 10, 10)})
    table.ended(batch)
    assert table.freed(b"\0") == (True, None)
    assert table.freed(b"\1") == (True, "f")


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "spill", "restore", "free"]), st.integers(0, 99)), min_size=15, max_size=60
)


@given(STEPS)
def test_every_object_is_in_memory_or_on_disk_until_it_is_freed_and_no_file_outlives_its_objects(steps):
    table, memory, living, files, number = SpillTable(8), {}, set(), set(), 0
    for name, pick in steps:
        if name == "put":
            number += 1
            key = number.to_bytes(2, "big")
            memory[key] = Placed(number, 10, pick % 5)
            living.add(key)
        elif name == "spill":
            batch = table.choose(memory, sizes_of(memory), needed=pick * 10)
            if batch is None:
                continue
            refused = sorted(batch.objects)[: pick % 3]
            table.voted(batch, refused)
            freed_meanwhile = sorted(batch.objects)[-1:] if pick % 4 == 0 else []
            for key in freed_meanwhile:
                assert table.freed(key) == (False, None)
                living.discard(key)
            path = f"file{pick}-{number}-{len(files)}"
            urls = {key: Url(path, 0, 10) for key in table.to_write(batch)}
            files |= {path} if urls else set()
            table.written(batch, urls)
            for key in batch.objects:
                del memory[key]
            for key in table.ended(batch):
                may_free, gone = table.freed(key)
                assert may_free
                files.discard(gone)
        elif name == "restore" and table.on_disk:
            key = sorted(table.on_disk)[pick % len(table.on_disk)]
            memory.setdefault(key, Placed(pick, 10, pick % 5))
        elif name == "free" and living:
            key = sorted(living)[pick % len(living)]
            living.discard(key)
            may_free, gone = table.freed(key)
            assert may_free
            memory.pop(key, None)
            files.discard(gone)
        table.validate()
        assert living <= set(memory) | set(table.on_disk)
    for key in living:
        files.discard(table.freed(key)[1])
    assert files == set()
