"""While memory is used anew, its old header vouches for nothing."""

import contextlib
from types import SimpleNamespace

import pytest

from ray._core.common import messages as m
from ray._core.common import object_header
from ray._core.common.errors import LocalRayletDiedError, ObjectStoreFullError, RaySystemError
from ray._core.common.object_header import HEADER_SIZE
from ray._core.store.arena import Arena, SlabAllocator
from ray._core.worker.values import Values

OLD, NEW = b"o" * 28, b"n" * 28


def test_the_header_of_what_lay_there_before_is_gone_before_the_first_byte_is_written(tmp_path):
    path = tmp_path / "arena"
    path.write_bytes(bytes(1 << 16))
    sent = []
    core = SimpleNamespace(
        lock=contextlib.nullcontext(),
        refs=SimpleNamespace(drain=lambda: None),
        reactor=SimpleNamespace(flush=lambda: None),
        raylet=SimpleNamespace(send=sent.append),
        config=SimpleNamespace(max_direct_call_object_size=100),
        address=SimpleNamespace(worker_id=b"w", node_id=b"node"),
        node=SimpleNamespace(node_id=b"node"),
    )
    values = Values(core)
    values._arena = Arena(str(path), path.stat().st_size)
    memory = values._arena.window(0, 1 << 16)
    values._slabs = SlabAllocator(1 << 15)
    first = values._slabs.add_slab(0, 1 << 15, 1000 + HEADER_SIZE)
    object_header.write(memory[first : first + HEADER_SIZE], OLD)
    values._slabs.free(first)
    seen = []

    def write_into(window, write):
        seen.append(object_header.is_readable(values._arena.window(first, HEADER_SIZE), OLD))

    value = values.write(NEW, SimpleNamespace(size=1000, write_into=write_into, is_error=False))
    assert value.location.offset == first + HEADER_SIZE
    assert seen == [False]
    assert object_header.is_readable(memory[first : first + HEADER_SIZE], NEW)
    assert [message.objects for message in sent] == [[(NEW, first + HEADER_SIZE, 1000)]]
    del memory
    values._arena.close()


@pytest.mark.parametrize(
    ("kind", "error"),
    [("full", ObjectStoreFullError), ("connection_lost", LocalRayletDiedError), ("unknown_request", RaySystemError)],
)
def test_only_a_store_that_is_full_is_said_to_be(kind, error):
    core = SimpleNamespace(
        lock=contextlib.nullcontext(),
        refs=SimpleNamespace(drain=lambda: None),
        reactor=SimpleNamespace(flush=lambda: None),
        raylet=None,
        ask=lambda connection, request: m.Failed(kind=kind, message="A raylet process does not serve this."),
        config=SimpleNamespace(max_direct_call_object_size=100),
    )
    values = Values(core)
    values._slabs = SlabAllocator(1 << 15)
    with pytest.raises(error):
        values.write(NEW, SimpleNamespace(size=1000, is_error=False))
