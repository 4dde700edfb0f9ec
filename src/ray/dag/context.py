"""Settings of compiled graphs."""

from __future__ import annotations

import dataclasses
import os


def _number(name: str, default: float) -> float:
    return float(os.environ.get(f"RAY_CGRAPH_{name}", default))


@dataclasses.dataclass
class DAGContext:
    """Defaults come from variables RAY_CGRAPH_<name>.

    `get_timeout`: seconds that `ray.get` waits for a result unless told otherwise; -1: no limit.
    `max_inflight_executions`: executions whose results have not been fetched, at most, per graph.
    """

    get_timeout: float = dataclasses.field(default_factory=lambda: _number("get_timeout", 10))
    max_inflight_executions: int = dataclasses.field(
        default_factory=lambda: int(_number("max_inflight_executions", 10))
    )

    @staticmethod
    def get_current() -> DAGContext:
        """This process's; changes apply to graphs compiled later."""
        global _current
        if _current is None:
            _current = DAGContext()
        return _current


_current: DAGContext | None = None
