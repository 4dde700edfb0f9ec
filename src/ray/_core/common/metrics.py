"""What a process has recorded of its metrics, and the text in Prometheus's format for those of many processes.

Floor: common, pure (a lock apart). `ray.util.metrics` records into `registry`; a core worker sends `registry.families`
to its raylet when somebody asks; the raylet's metrics server writes `text` of all.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterable, Mapping, Sequence

import msgspec

PREFIX = "ray_"
Tags = tuple[tuple[str, str], ...]
"""Names and values."""


class Sample(msgspec.Struct, array_like=True, frozen=True):
    """One number of one time series. `name` without the prefix."""

    name: str
    tags: Tags
    value: float


class Family(msgspec.Struct, array_like=True, frozen=True):
    """All time series of one metric in one process. `kind`: counter, gauge or histogram."""

    name: str
    kind: str
    description: str
    samples: list[Sample]


class Series:
    """The time series of one metric: one for each set of tags. Locked by the registry."""

    def __init__(self, name: str, kind: str, description: str, boundaries: Sequence[float] = ()) -> None:
        self.name = f"{name}_total" if kind == "counter" else name
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

    def samples(self) -> list[Sample]:
        if self.kind != "histogram":
            return [Sample(self.name, tags, value) for tags, value in self._values.items()]
        return [sample for tags, total in self._values.items() for sample in self._buckets(tags, total)]

    def _buckets(self, tags: Tags, total: float) -> list[Sample]:
        count, found = 0, []
        limits = [*(repr(float(boundary)) for boundary in self.boundaries), "+Inf"]
        for limit, more in zip(limits, self._counts[tags], strict=True):
            count += more
            found.append(Sample(f"{self.name}_bucket", (*tags, ("le", limit)), count))
        return [*found, Sample(f"{self.name}_sum", tags, total), Sample(f"{self.name}_count", tags, count)]


class Registry:
    """The metrics of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[tuple[str, str], Series] = {}

    def __repr__(self) -> str:
        return f"<Registry of {len(self._series)} metrics>"

    def series(self, name: str, kind: str, description: str, boundaries: Sequence[float] = ()) -> Series:
        """The series of that name and kind, made if need be: metrics that share these share their numbers."""
        with self._lock:
            found = self._series.get((name, kind))
            if found is None:
                found = self._series[name, kind] = Series(name, kind, description, boundaries)
            return found

    def record(self, series: Series, tags: Mapping[str, str], value: float) -> None:
        with self._lock:
            series.record(tuple(sorted(tags.items())), value)

    def families(self, constant_tags: Mapping[str, str]) -> list[Family]:
        """A copy of all numbers, of metrics that have any.

        Args:
            constant_tags: added to each (of the node, the worker, the session).
        """
        constant = tuple(constant_tags.items())
        with self._lock:
            found = [(series, series.samples()) for series in self._series.values()]
        return [
            Family(
                series.name,
                series.kind,
                series.description,
                [Sample(sample.name, constant + sample.tags, sample.value) for sample in samples],
            )
            for series, samples in found
            if samples
        ]


def text(families: Iterable[Family]) -> str:
    """Prometheus's text format, version 0.0.4. Families of one name, from several processes, become one.

    Of two that differ in kind the first one counts: the format allows one kind for a name.
    """
    merged: dict[str, list[Family]] = {}
    for family in families:
        merged.setdefault(family.name, []).append(family)
    lines: list[str] = []
    for name, parts in sorted(merged.items()):
        first = parts[0]
        lines.append(f"# HELP {PREFIX}{name} {_escaped(first.description)}")
        lines.append(f"# TYPE {PREFIX}{name} {first.kind}")
        for family in parts:
            if family.kind == first.kind:
                lines += [f"{PREFIX}{s.name}{_braces(s.tags)} {float(s.value)!r}" for s in family.samples]
    return "".join(f"{line}\n" for line in lines)


def _braces(tags: Tags) -> str:
    inner = ",".join(f'{name}="{_escaped(value, quotes=True)}"' for name, value in tags)
    return f"{{{inner}}}" if inner else ""


def _escaped(text: str, quotes: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text


registry = Registry()
"""This process's."""
