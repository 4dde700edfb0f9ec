"""`ray.cloudpickle`: the cloudpickle that this process's Ray pickles with.

`ray.cloudpickle.cloudpickle` is the installed cloudpickle under Ray's name: the same source, executed once more.
Ray has always carried a copy under that name, so pickles of its clients and programs name functions of it, and a pickle
that goes to such a client must not name a top-level `cloudpickle`, which it need not have. Both share what they
remember of classes and of modules to pickle by value.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import cloudpickle.cloudpickle as _installed

from ray._core.common import by_value

_SHARED = (
    "_PICKLE_BY_VALUE_MODULES",
    "_DYNAMIC_CLASS_TRACKER_BY_CLASS",
    "_DYNAMIC_CLASS_TRACKER_BY_ID",
    "_DYNAMIC_CLASS_TRACKER_LOCK",
)


def _load_copy() -> ModuleType:
    assert _installed.__file__ is not None
    spec = importlib.util.spec_from_file_location(f"{__name__}.cloudpickle", _installed.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # so that `import ray.cloudpickle.cloudpickle` finds it
    spec.loader.exec_module(module)
    for name in _SHARED:
        setattr(module, name, getattr(_installed, name))
    return module


cloudpickle: Any = _load_copy()
cloudpickle.Pickler.dispatch_table = by_value.table_with_files(cloudpickle.Pickler)
CloudPickler: Any = cloudpickle.Pickler
Pickler: Any = cloudpickle.Pickler
dump = cloudpickle.dump
dumps = cloudpickle.dumps
load = cloudpickle.load
loads = cloudpickle.loads
register_pickle_by_value = cloudpickle.register_pickle_by_value
unregister_pickle_by_value = cloudpickle.unregister_pickle_by_value
