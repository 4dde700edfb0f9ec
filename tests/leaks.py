"""Whether a test has left objects in shared memory, for the hook that looks after each test."""

import gc
import time

import msgspec

from ray._core.common import messages as m
from ray._core.common.errors import RaySystemError

PATIENCE_S = 10.0
"""Frees travel, processes end, and whoever tells of it is busy: but all ends by itself."""


def assert_no_objects_left(core):
    """All objects of the cluster that this driver is connected to have been freed, or are so soon."""
    deadline_at_s = time.monotonic() + PATIENCE_S
    while left := _stores_in_use(core):
        gc.collect()  # an exception that the test has caught may hold refs in a cycle
        assert time.monotonic() < deadline_at_s, f"objects in shared memory or on disk that nobody freed: {left}"
        time.sleep(0.02)


def _stores_in_use(core):
    try:
        blobs = core.ask_gcs(m.DumpState(what="stores")).blobs
    except RaySystemError:  # the test has ended the cluster: there is no memory to be leaked
        return []
    stores = [msgspec.msgpack.decode(blob, type=m.StoreStats) for blob in blobs]
    return [store for store in stores if store.num_objects or store.on_disk_bytes]
