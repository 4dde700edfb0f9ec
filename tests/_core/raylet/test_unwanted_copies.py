"""A copy has come, and the process that wanted it has ended meanwhile: it goes, and nothing else does."""

import asyncio
from types import SimpleNamespace

import pytest

from ray._core.common import messages as m
from ray._core.common.config import Config
from ray._core.common.object_header import HEADER_SIZE
from ray._core.raylet.object_manager import ObjectManager
from ray._core.raylet.objects import Placed
from ray._core.raylet.spill_table import Batch, Url
from ray._core.raylet.transfer import Pull

KEY, OWNER = b"a" * 28, m.Address(b"n", b"w" * 28, "", 0, "")


@pytest.fixture
def come(tmp_path):
    """Call it with an object manager to which the copy comes, and what it holds of the object already."""
    raylet = SimpleNamespace(config=Config(), settings={"session_dir": str(tmp_path)}, node_id=b"n")
    raylet.leases = SimpleNamespace(reporter=SimpleNamespace(report=lambda: None))

    def run(prepare):
        async def main():
            objects = raylet.objects = ObjectManager(raylet, 1 << 20)
            objects._arena = memoryview(bytearray(1 << 20))
            objects._living.add(OWNER.worker_id)
            prepare(objects)
            extent = objects._in_memory(4096)
            gone = SimpleNamespace(is_closed=True)
            pull = Pull(KEY, OWNER, 64, [], [(gone, m.PullObject(KEY, [], OWNER, 0))], 0.0, offset=extent + HEADER_SIZE)
            objects.transfer._came(pull, extent)
            objects.table.validate()
            return objects

        return asyncio.run(main())

    raylet.machine = SimpleNamespace(reserve_memory=lambda offset, size: True, give_memory_back=lambda *part: None)
    return run


def test_it_was_the_only_one(come):
    objects = come(lambda objects: None)
    assert not objects.table.objects and not objects.extents.live and not objects.orphans.table.of(OWNER.worker_id)


def test_the_object_is_on_disk(come):
    def on_disk(objects):
        objects.orphans.came(KEY, OWNER.worker_id, b"n")
        objects.spiller.table.written(Batch({KEY: Placed(64, 64, 0)}), {KEY: Url("file", 0, 64)})

    objects = come(on_disk)
    assert not objects.table.objects and not objects.extents.live
    assert list(objects.spiller.table.on_disk) == [KEY], "the owner counts on it"
    assert objects.orphans.table.of(OWNER.worker_id) == [KEY]


def test_the_object_was_made_again_here(come):
    def made(objects):
        offset = objects._in_memory(4096)
        objects.table.add_slab(offset, "worker")
        message = m.ObjectsSealed([(KEY, offset + HEADER_SIZE, 64)], OWNER.worker_id, b"n")
        objects._sealed(None, message)

    objects = come(made)
    assert len(objects.extents.live) == 1 and not objects.table.older
    assert objects.table.objects[KEY].slab in objects.extents.live
    assert objects.orphans.table.of(OWNER.worker_id) == [KEY]
