"""What the steps of a `LocalIterator` note beside the items."""

from __future__ import annotations

import collections
from typing import Any

from ray.util.timer import _Timer


class MetricsContext:
    """`current_actor`: the actor that the item at hand came from."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = collections.defaultdict(int)
        self.timers: dict[str, _Timer] = collections.defaultdict(_Timer)
        self.info: dict[str, Any] = {}
        self.current_actor: Any = None

    def save(self) -> dict[str, Any]:
        """Counters and info, for `restore`."""
        return {"counters": dict(self.counters), "info": dict(self.info), "timers": list(self.timers)}

    def restore(self, values: dict[str, Any]) -> None:
        self.counters.clear()
        self.counters.update(values["counters"])
        self.timers.clear()
        self.info = dict(values["info"])


class SharedMetrics:
    """A metrics context that several iterators share; setting it sets that of the parents too."""

    def __init__(self, metrics: MetricsContext | None = None, parents: list[SharedMetrics] | None = None) -> None:
        self.metrics = metrics or MetricsContext()
        self.parents = parents or []
        self.set(self.metrics)

    def set(self, metrics: MetricsContext) -> None:
        self.metrics = metrics
        for parent in self.parents:
            parent.set(metrics)

    def get(self) -> MetricsContext:
        return self.metrics
