"""Items of a streaming task that runs again, and is given up meanwhile: those that are there stay."""

from types import SimpleNamespace

import pytest

from ray._core.common import messages as m
from ray._core.common.ids import object_id
from ray._core.worker.objects import Entry
from ray._core.worker.streams import Streams

TASK = b"t" * 24
KEY = object_id(TASK, 2)
VALUE = m.Value(location=m.StoreLocation(b"n", 64, 64))
ERROR = m.Value(blob=b"", is_error=True)


@pytest.mark.parametrize(("there", "dropped"), [(VALUE, []), (ERROR, [KEY]), (None, [KEY])])
def test_an_item_that_comes_after_the_word_of_the_error_is_freed_unless_one_is_counted_on_there(there, dropped):
    freed, known = [], []
    core = SimpleNamespace(objects={KEY: Entry(None)}, submitter=SimpleNamespace(tasks={}))
    core.objects[KEY].value = there
    core.submitter.tasks[TASK] = SimpleNamespace(told=ERROR)
    core.refs = SimpleNamespace(drop=lambda key, value: freed.append(key))
    core.lineage = SimpleNamespace(came_again=lambda key, value: known.append(key) or True)
    Streams(core).item(m.GeneratorItem(TASK, 1, VALUE))
    assert freed == dropped and known == [key for key in [KEY] if key not in dropped]
