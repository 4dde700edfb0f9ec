"""Measuring blocks of code."""

from __future__ import annotations

import time
from collections import deque
from typing import Self


class _Timer:
    """Times `with` blocks, and keeps the last ones.

    Args:
        window_size: how many of the last times the means are over.
    """

    def __init__(self, window_size: int = 10) -> None:
        self._times_s: deque[float] = deque(maxlen=window_size)
        self._units: deque[float] = deque(maxlen=window_size)
        self._start_s: float | None = None
        self.count = 0
        self.total_time = 0.0

    def __enter__(self) -> Self:
        assert self._start_s is None, "The timer runs already."
        self._start_s = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._start_s is not None
        self.push(time.perf_counter() - self._start_s)
        self._start_s = None

    def push(self, time_delta: float) -> None:
        """Add a time in seconds."""
        self._times_s.append(time_delta)
        self.count += 1
        self.total_time += time_delta

    def push_units_processed(self, n: float) -> None:
        """How much was done in the last block, for `mean_throughput`."""
        self._units.append(n)

    def has_units_processed(self) -> bool:
        return bool(self._units)

    @property
    def mean(self) -> float:
        """Seconds; 0 before the first block."""
        return sum(self._times_s) / len(self._times_s) if self._times_s else 0.0

    @property
    def mean_units_processed(self) -> float:
        return sum(self._units) / len(self._units) if self._units else 0.0

    @property
    def mean_throughput(self) -> float:
        """Units per second."""
        total_s = sum(self._times_s)
        return sum(self._units) / total_s if total_s else 0.0
