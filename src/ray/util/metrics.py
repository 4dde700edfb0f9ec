"""Numbers that a program records about itself: `Counter`, `Gauge`, `Histogram`.

Each process keeps what it records until somebody asks its node: `GET /metrics` on the node's metrics port
(`MetricsExportPort` in `ray.nodes()`) gives the numbers of all processes there. A process that ends takes its own
along.
Source: Ray docs, "Adding Application-Level Metrics".
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

from ray._core.common.metrics import Series, registry

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Metric:
    """What the kinds of metrics have in common.

    Args:
        name: letters, digits and "_"; exported as "ray_<name>". Another name is warned of, and the metric discarded.
        description: for those who look at it.
        tag_keys: names of tags, for each of which each recording needs a value.
    Raises:
        ValueError: an empty name.
        TypeError: a wrong type of one of these.
    """

    _kind: str

    def __init__(self, name: str, description: str = "", tag_keys: tuple[str, ...] | None = None) -> None:
        if len(name) == 0:
            raise ValueError("Empty name is not allowed. Please provide a metric name.")
        if not isinstance(description, str):
            raise TypeError(f"description should be a str, got: {type(description)}")
        if tag_keys is not None and not isinstance(tag_keys, tuple):
            raise TypeError(f"tag_keys should be a tuple type, got: {type(tag_keys)}")
        for key in tag_keys or ():
            if not isinstance(key, str):
                raise TypeError(f"Tag keys must be str, got {type(key)}.")
        self._name = name
        self._description = description
        self._tag_keys = tag_keys or ()
        self._default_tags: dict[str, str] = {}
        self._discard_metric = not _check_name(name)
        self._series = self._new_series()

    def _new_series(self) -> Series:
        return registry.series(self._name, self._kind, self._description)

    @property
    def info(self) -> dict[str, Any]:
        """Name, description, tag_keys and default_tags."""
        return {
            "name": self._name,
            "description": self._description,
            "tag_keys": self._tag_keys,
            "default_tags": self._default_tags,
        }

    def set_default_tags(self, default_tags: Mapping[str, str]) -> Self:
        """Values of tags for recordings that give none.

        Raises:
            ValueError: a name that is none of the tag_keys.
            TypeError: a value that is no str.
        """
        for key, value in default_tags.items():
            if key not in self._tag_keys:
                raise ValueError(f"Unrecognized tag key {key}.")
            if not isinstance(value, str):
                raise TypeError(f"Tag values must be str, got {type(value)}.")
        self._default_tags = dict(default_tags)
        return self

    def _record(self, value: float, tags: Mapping[str, str] | None) -> None:
        """Raises ValueError for tag keys without a value, TypeError for values of tags that are no str."""
        for given in (tags or {}).values():
            if not isinstance(given, str):
                raise TypeError(f"Tag values must be str, got {type(given)}.")
        merged = {**self._default_tags, **(tags or {})}
        missing = [key for key in self._tag_keys if key not in merged]
        if missing:
            raise ValueError(f"Missing value for tag key(s): {','.join(missing)}.")
        if not self._discard_metric:
            registry.record(self._series, {key: merged[key] for key in self._tag_keys}, value)

    def __reduce__(self) -> Any:
        return type(self), (self._name, self._description, self._tag_keys)


class Counter(Metric):
    """Counts what happens; only grows. Exported as "ray_<name>_total"."""

    _kind = "counter"

    def inc(self, value: float = 1.0, tags: Mapping[str, str] | None = None) -> None:
        """Add `value`. Raises ValueError unless it is above 0, TypeError if it is no number."""
        _check_number(value)
        if value <= 0:
            raise ValueError(f"value must be >0, got {value}")
        self._record(value, tags)


class Gauge(Metric):
    """Has a value that changes."""

    _kind = "gauge"

    def set(self, value: float | None, tags: Mapping[str, str] | None = None) -> None:
        """The value from now on; None changes nothing. Raises TypeError if it is no number."""
        if value is None:
            return
        _check_number(value)
        self._record(value, tags)


class Histogram(Metric):
    """Counts values by size.

    Args:
        boundaries: upper limits of the buckets, above 0.
    Raises:
        ValueError: no boundaries, or one that is not above 0.
    """

    _kind = "histogram"

    def __init__(
        self,
        name: str,
        description: str = "",
        boundaries: Sequence[float] | None = None,
        tag_keys: tuple[str, ...] | None = None,
    ) -> None:
        if boundaries is None or len(boundaries) == 0:
            raise ValueError(
                "boundaries argument should be provided when using the Histogram class. "
                'e.g., Histogram("name", boundaries=[1.0, 2.0])'
            )
        for index, boundary in enumerate(boundaries):
            if boundary <= 0:
                raise ValueError(
                    f"Invalid `boundaries` argument at index {index}, {boundaries}. "
                    "Use positive values for the arguments."
                )
        self.boundaries = boundaries
        super().__init__(name, description, tag_keys)

    def _new_series(self) -> Series:
        return registry.series(self._name, self._kind, self._description, self.boundaries)

    def observe(self, value: float, tags: Mapping[str, str] | None = None) -> None:
        """Count `value`. Raises TypeError if it is no number."""
        _check_number(value)
        self._record(value, tags)

    @property
    def info(self) -> dict[str, Any]:
        return {**super().info, "boundaries": self.boundaries}

    def __reduce__(self) -> Any:
        return type(self), (self._name, self._description, self.boundaries, self._tag_keys)


def _check_number(value: Any) -> None:
    if not isinstance(value, (int, float)):
        raise TypeError(f"value must be int or float, got {type(value)}.")


def _check_name(name: str) -> bool:
    """Whether Prometheus takes the name; warns if not."""
    if not _NAME.fullmatch(name):
        warnings.warn(
            f"Invalid metric name: {name}. Metric will be discarded and data will not be collected or published. "
            "Metric names can only contain letters, numbers, _, and :. Metric names cannot start with numbers.",
            UserWarning,
            stacklevel=4,
        )
        return False
    if ":" in name:
        warnings.warn(
            f"Metric name {name} contains a : character, which is no longer allowed. "
            "Please migrate to the new metric name format. This will be an error in the future.",
            FutureWarning,
            stacklevel=4,
        )
    return True


__all__ = ["Counter", "Gauge", "Histogram"]
