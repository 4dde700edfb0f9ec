"""cloudpickle, for what plain pickle cannot write: code of `__main__`, closures, classes that cannot be imported.

Floor: common, pure. Late imports: a process that moves only plain data never pays for them.
"""

from __future__ import annotations

from typing import Any


def dumps(value: Any, buffer_callback: Any = None) -> bytes:
    """Pickle by value where that is needed.

    cloudpickle writes a class by reference only if its module has been imported, and the classes in Ray's errors
    name `ray.exceptions` as theirs: not imported, each process would get error classes of its own, which no `except`
    catches.
    """
    import cloudpickle

    import ray.exceptions  # noqa: F401

    return bytes(cloudpickle.dumps(value, 5, buffer_callback=buffer_callback))
