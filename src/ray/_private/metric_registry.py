"""What this process has recorded of its metrics, and its text in Prometheus's format.

Floor: public face, pure (a lock apart). `ray.util.metrics` writes; whoever exports reads `registry.samples()` or
`registry.text()`.
"""

from __future__ import annotations

import bisect
import dataclasses
import threading
from collections.abc import Iterator, Mapping, Sequence

Tags = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """One number of one time series. `name` without the prefix "ray_"."""

    name: str
    tags: Tags
    value: float


class Series:
    """All time series of one metric: one for each set of tags. Locked by the registry."""

    def __init__(self, name: str, kind: str, description: str, boundaries: Sequence[float] = ()) -> None:
        self.name = name
        self.kind = kind
        self.description = description
        self.boundaries = tuple(sorted(boundaries))
        self._values: dict[Tags, float] = {}
        self._counts: dict[Tags, list[int]] = {}

    def __repr__(self) -> str:
        return f"<Series {self.kind} {self.name!r} of {len(self._values)} sets of tags>"

    def record(self, tags: Tags, value: float) -> None:
        """A counter adds `value`, a gauge becomes it, a histogram counts it."""
        if self.kind == "gauge":
            self._values[tags] = value
            return
        self._values[tags] = self._values.get(tags, 0.0) + value
        if self.kind == "histogram":
            counts = self._counts.setdefault(tags, [0] * (len(self.boundaries) + 1))
            counts[bisect.bisect_left(self.boundaries, value)] += 1  # a boundary belongs to the bucket below it

    def samples(self) -> Iterator[Sample]:
        for tags, value in self._values.items():
            if self.kind == "counter":
                yield Sample(f"{self.name}_total", tags, value)
            elif self.kind == "gauge":
                yield Sample(self.name, tags, value)
            else:
                yield from self._buckets(tags, value)

    def _buckets(self, tags: Tags, total: float) -> Iterator[Sample]:
        count = 0
        limits = [*map(_number, self.boundaries), "+Inf"]
        for limit, more in zip(limits, self._counts[tags], strict=True):
            count += more
            yield Sample(f"{self.name}_bucket", (*tags, ("le", limit)), count)
        yield Sample(f"{self.name}_sum", tags, total)
        yield Sample(f"{self.name}_count", tags, count)


class Registry:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[str, Series] = {}

    def __repr__(self) -> str:
        return f"<Registry of {len(self._series)} metrics>"

    def series(self, name: str, kind: str, description: str, boundaries: Sequence[float] = ()) -> Series:
        """The series of that name, made if need be. Metrics of one name and kind share theirs."""
        with self._lock:
            found = self._series.get(name)
            if found is None or found.kind != kind:
                found = self._series[name] = Series(name, kind, description, boundaries)
            return found

    def record(self, series: Series, tags: Mapping[str, str], value: float) -> None:
        with self._lock:
            series.record(tuple(sorted(tags.items())), value)

    def samples(self) -> list[Sample]:
        """A copy of all numbers."""
        with self._lock:
            return [sample for series in self._series.values() for sample in series.samples()]

    def text(self, constant_tags: Mapping[str, str]) -> str:
        """All numbers in Prometheus's text format, under names with the prefix "ray_".

        Args:
            constant_tags: added to each (of the node, the worker, the job).
        """
        lines: list[str] = []
        with self._lock:
            for series in self._series.values():
                name = f"ray_{series.name}" + ("_total" if series.kind == "counter" else "")
                lines.append(f"# HELP {name} {_escaped(series.description)}")
                lines.append(f"# TYPE {name} {series.kind}")
                for sample in series.samples():
                    tags = {**constant_tags, **dict(sample.tags)}
                    lines.append(f"ray_{sample.name}{_braces(tags)} {_number(sample.value)}")
        return "".join(f"{line}\n" for line in lines)


def _braces(tags: Mapping[str, str]) -> str:
    inner = ",".join(f'{name}="{_escaped(value, quotes=True)}"' for name, value in tags.items())
    return f"{{{inner}}}" if inner else ""


def _escaped(text: str, quotes: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text


def _number(value: float) -> str:
    return repr(float(value))


registry = Registry()
"""This process's."""
