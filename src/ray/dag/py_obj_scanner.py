"""Finding and replacing objects of one type anywhere inside of another object, by pickling it."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from typing import Any

from cloudpickle import CloudPickler

from ray.dag.dag_node import DAGNode


class _PyObjScanner(CloudPickler):  # type: ignore[misc]  # cloudpickle has no types
    """For one object: `find_nodes` first, then `replace_nodes`.

    Args:
        source_type: of what is looked for.
    """

    def __init__(self, source_type: type | tuple[type, ...] = DAGNode) -> None:
        self._source_type = source_type
        self._pickle = io.BytesIO()
        self._found: list[Any] | None = None
        self._numbers: dict[int, int] = {}
        super().__init__(self._pickle)

    def persistent_id(self, obj: Any) -> int | None:
        """Stands in the pickle for an object of the type looked for."""
        if not isinstance(obj, self._source_type) or self._found is None:
            return None
        number = self._numbers.setdefault(id(obj), len(self._found))
        if number == len(self._found):
            self._found.append(obj)
        return number

    def find_nodes(self, obj: Any) -> list[Any]:
        """The objects of the type in `obj`, each once, in the order in which a pickler meets them."""
        assert self._found is None, "find_nodes() can only be called once per scanner."
        self._found = []
        self.dump(obj)
        return list(self._found)

    def replace_nodes(self, table: Mapping[Any, Any]) -> Any:
        """A copy of the object, with `table[node]` in the place of each node."""
        assert self._found is not None, "find_nodes() must be called first."
        self._pickle.seek(0)
        return _Unpickler(self._pickle, [table[node] for node in self._found]).load()

    def clear(self) -> None:
        """Let go of the object."""
        self._found = None
        self._numbers.clear()
        self._pickle = io.BytesIO()


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, values: list[Any]) -> None:
        super().__init__(file)
        self._values = values

    def persistent_load(self, pid: int) -> Any:
        return self._values[pid]
