"""cloudpickle, for what plain pickle cannot write: code of `__main__`, closures, classes that cannot be imported.

Floor: common, pure. Late imports: a process that moves only plain data never pays for them.
"""

from __future__ import annotations

import functools
import io
from collections import ChainMap
from types import CodeType
from typing import Any

_NO_FILE = "<dynamic-code>"


def dumps(value: Any, buffer_callback: Any = None) -> bytes:
    """Pickle by value where that is needed.

    cloudpickle writes a class by reference only if its module has been imported, and the classes in Ray's errors
    name `ray.exceptions` as theirs: not imported, each process would get error classes of its own, which no `except`
    catches.
    """
    import ray.exceptions  # noqa: F401

    with io.BytesIO() as file:
        _pickler()(file, 5, buffer_callback=buffer_callback).dump(value)
        return file.getvalue()


def table_with_files(pickler: Any) -> ChainMap[Any, Any]:
    """The dispatch table of a cloudpickle's class, with one change: code keeps the name of its file.

    From 3.1.3 on cloudpickle writes "<dynamic-code>" instead; tracebacks would show no line of the user's source, and
    debuggers would not find it.
    """
    table = pickler.dispatch_table
    reduce = table[CodeType]

    def reduce_code(code: CodeType) -> tuple[Any, ...]:
        make, arguments = reduce(code)
        return make, tuple(code.co_filename if each == _NO_FILE else each for each in arguments)

    return ChainMap({CodeType: reduce_code}, table)


@functools.cache
def _pickler() -> Any:
    import cloudpickle

    return type("Pickler", (cloudpickle.CloudPickler,), {"dispatch_table": table_with_files(cloudpickle.CloudPickler)})
