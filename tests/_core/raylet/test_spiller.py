"""Whatever goes wrong while objects leave the memory, they stay readable and can be freed; what has no owner goes."""

import asyncio
import mmap
from types import SimpleNamespace

import pytest

from ray._core.common import messages as m
from ray._core.common import object_header
from ray._core.common.config import Config
from ray._core.common.object_header import HEADER_SIZE
from ray._core.raylet.extents import TieredExtents
from ray._core.raylet.objects import FOR_GOOD, Free, ObjectTable
from ray._core.raylet.spiller import Spiller
from ray._core.wire import aio

SIZE = 1 << 20
A, B = b"a" * 28, b"b" * 28


class Process:
    """The connection of a process with views of `viewed`; or its vote is the exception `viewed`."""

    def __init__(self, viewed):
        self.viewed = viewed

    async def request(self, message):
        if isinstance(self.viewed, Exception):
            raise self.viewed
        return m.SpillVotes(refused=[key for key in message.object_ids if key in self.viewed])


class Store:
    """What a spiller needs of the object manager, with two objects in memory."""

    def __init__(self, directory, *processes):
        self.extents, self.table, self.memory = TieredExtents(SIZE), ObjectTable(), mmap.mmap(-1, SIZE)
        self.processes, self.settled_ids = processes, []
        raylet = SimpleNamespace(config=Config(min_spilling_size=1), node_id=b"n", settings={"session_dir": ""})
        raylet.machine = SimpleNamespace(remove_leftovers=lambda *_: None)
        self.spiller = Spiller(raylet, self, str(directory))
        self.spiller.start(self.memory)
        for key in A, B:
            offset, _ = self.extents.allocate(4096)
            object_header.write(memoryview(self.memory)[offset : offset + HEADER_SIZE], key)
            self.table.add_slab(offset, None)
            self.table.sealed(key, offset + HEADER_SIZE, 64)
        self.placed = dict(self.table.objects)

    def room_freed(self):
        self.spiller._needed = 0  # whoever waited has given up

    def left(self, key, placed):
        self.table.drop(key, placed)

    def free(self, key, free=FOR_GOOD):
        if self.spiller.freed(key, free) and key in self.table.objects:
            self.table.free(key, free)

    def settled(self, keys):
        self.settled_ids += keys

    def is_readable(self, key):
        offset = self.placed[key].offset
        return object_header.is_readable(memoryview(self.memory)[offset - HEADER_SIZE : offset], key)


def spill(store):
    async def run():
        store.spiller.make_room(8192)
        await store.spiller._task

    asyncio.run(run())
    store.spiller.table.validate()
    assert sorted(store.settled_ids) == [A, B]
    assert not any(map(store.spiller.is_leaving, (A, B)))


class Broken:
    def spill(self, objects):
        raise ValueError("the bucket has vanished")


@pytest.mark.parametrize("cause", ["storage", "vote"])
def test_an_error_of_any_kind_leaves_the_objects_as_they_were(tmp_path, cause):
    store = Store(tmp_path, Process(aio.RequestFailed("internal", "a bug there") if cause == "vote" else []))
    if cause == "storage":
        store.spiller._storage = Broken()
    spill(store)
    assert set(store.table.objects) == {A, B} and store.is_readable(A) and store.is_readable(B)
    assert ("bucket" if cause == "storage" else "a bug") in store.spiller.failure
    store.spiller._storage = Store(tmp_path).spiller._storage
    store.processes, store.settled_ids = (), []
    spill(store)  # the next round works
    assert not store.table.objects and set(store.spiller.table.on_disk) == {A, B}


def test_a_free_that_comes_while_spilling_fails_is_carried_out(tmp_path):
    class FreesFirst(Broken):
        def spill(self, objects):
            store.free(A)
            super().spill(objects)

    store = Store(tmp_path)
    store.spiller._storage = FreesFirst()
    spill(store)
    assert set(store.table.objects) == {B} and store.is_readable(B)


def test_what_has_no_owner_goes_unless_somebody_reads_it(tmp_path):
    store = Store(tmp_path, Process([B]), Process([]))
    assert asyncio.run(store.spiller.discard([A, B, b"c" * 28])) == [B]
    assert set(store.table.objects) == {B} and store.is_readable(B) and not store.is_readable(A)
    store.processes = (Process([]),)
    assert asyncio.run(store.spiller.discard([B])) == []
    assert not store.table.objects and not store.is_readable(B)


def test_what_has_no_owner_goes_from_the_disk_too(tmp_path):
    store = Store(tmp_path)
    spill(store)
    assert asyncio.run(store.spiller.discard([A, B])) == []
    store.spiller.close()
    assert not store.spiller.table.on_disk and list(tmp_path.rglob("*-2")) == []


class MadeAgain:
    """While A is being written, its task makes it again; `is_freed`: what was there before is freed first."""

    def __init__(self, store, is_freed):
        self._store, self._storage, self._is_freed = store, store.spiller._storage, is_freed

    def spill(self, objects):
        if self._is_freed:
            self._store.free(A, Free(attempt=0, for_good=False))
        self._store.table.add_slab(SIZE, "worker")
        self._store.table.sealed(A, SIZE + HEADER_SIZE, 64, attempt=1)
        return self._storage.spill(objects)


@pytest.mark.parametrize("is_freed", [False, True])
def test_what_is_made_again_while_it_leaves_stays_where_its_owner_was_told(tmp_path, is_freed):
    store = Store(tmp_path)
    store.spiller._storage = MadeAgain(store, is_freed)
    spill(store)
    assert [placed.offset for placed in store.table.objects.values()] == [SIZE + HEADER_SIZE]
    assert list(store.table.objects) == [A] and not store.table.older and not store.is_readable(A)
    store.table.validate()
    store.free(A)
    assert not store.table.objects and set(store.spiller.table.on_disk) == {B}


def test_an_object_with_further_copies_stays_since_their_readers_are_not_asked(tmp_path):
    store = Store(tmp_path)
    store.table.add_slab(SIZE, None)
    store.table.sealed(A, SIZE + HEADER_SIZE, 64)
    store.placed[A] = store.table.older[A][0]
    store.extents.live[SIZE] = 4096

    async def run():
        store.spiller.make_room(8192)
        await store.spiller._task

    asyncio.run(run())
    assert set(store.table.objects) == {A} and len(store.table.older[A]) == 1 and store.is_readable(A)
