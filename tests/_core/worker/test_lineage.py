"""What becomes of the results of a task that has run again: wanted and lost, there still, or wanted by nobody."""

from types import SimpleNamespace

import pytest

from ray._core.common import messages as m
from ray._core.worker.lineage import Lineage
from ray._core.worker.objects import Entry

KEY = b"k" * 28
OLD, NEW = (m.Value(location=m.StoreLocation(node, 64, 1000)) for node in (b"old", b"new"))


@pytest.fixture
def core():
    told = []
    return SimpleNamespace(
        objects={},
        told=told,
        remote=SimpleNamespace(copied=lambda key, where: told.append(("copied", key, where))),
        refs=SimpleNamespace(
            drop=lambda key, value: told.append(("drop", key, value.location)),
            decline=lambda value: None,
        ),
    )


def entry(value, is_freed=False):
    made = Entry(None)
    made.value, made.lineage = value, 1
    if is_freed:
        made.is_freed = True
    return made


def test_a_result_that_was_lost_is_taken(core):
    core.objects[KEY] = entry(None)
    assert not Lineage(core).came_again(KEY, NEW)
    assert not core.told


def test_a_result_that_was_there_still_has_one_more_copy(core):
    core.objects[KEY] = entry(OLD)
    assert Lineage(core).came_again(KEY, NEW)
    assert core.told == [("copied", KEY, NEW.location)]


def test_a_result_that_only_the_lineage_keeps_is_freed_and_counts_as_freed(core):
    """Were it taken, nobody would free it, and the next who needs it would have it made again in its place."""
    core.objects[KEY] = entry(None, is_freed=True)
    assert Lineage(core).came_again(KEY, NEW)
    assert core.told == [("drop", KEY, NEW.location)]
    assert core.objects[KEY].value is None and core.objects[KEY].is_freed
