"""What is remembered of tasks whose results can be lost: no more than RAY_max_lineage_bytes."""

from types import SimpleNamespace

import pytest

from ray._core.common import messages as m
from ray._core.common.ids import object_id
from ray._core.store import serialization
from ray._core.worker.lineage import Lineage
from ray._core.worker.objects import Entry
from ray._core.worker.task_record import Packed, Record

NODE = b"n" * 28


@pytest.fixture
def core():
    """What lineage needs of a worker; `resolved` are objects that came to an end."""
    core = SimpleNamespace(keeps_lineage=True, objects={}, config=SimpleNamespace(max_lineage_bytes=5000), resolved={})
    core.refs = SimpleNamespace(resolve=core.resolved.__setitem__, maybe_free=lambda key, entry: None)
    core.submitter = SimpleNamespace(tasks={}, run_again=lambda kept: core.submitter.tasks.update({kept.task_id: kept}))
    return core


def finish(core, lineage, number):
    """A task of 2,000 bytes of arguments ends; its result lies in shared memory."""
    task_id = bytes([number]) * 24
    key = object_id(task_id, 1)
    entry = core.objects[key] = Entry(None)
    entry.value = m.Value(location=m.StoreLocation(NODE, 0, 1 << 20))
    template = SimpleNamespace(name="f", max_retries=3)
    lineage.keep(Record(task_id, template, Packed(b"x" * 2000, [], []), 3), [key])
    return key


def test_the_oldest_tasks_are_forgotten_beyond_the_limit_and_that_is_told(core):
    lineage = Lineage(core)
    first, second, third = (finish(core, lineage, number) for number in range(3))
    lineage.make_again(third, core.objects[third], "Lost.")
    lineage.make_again(second, core.objects[second], "Lost.")
    assert core.resolved == {}
    assert set(core.submitter.tasks) == {second[:24], third[:24]}
    lineage.make_again(first, core.objects[first], "Lost.")
    error = serialization.deserialize(core.resolved[first].blob).error
    assert "RAY_max_lineage_bytes" in str(error)
