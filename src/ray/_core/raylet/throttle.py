"""Something that may happen only so often. Floor: raylet, pure."""

from __future__ import annotations


class Throttle:
    """`open_at_s`: from when on it may happen again."""

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self.open_at_s = 0.0

    def passes(self, now_s: float) -> bool:
        """Whether it may happen now; if so, it does."""
        if now_s < self.open_at_s:
            return False
        self.open_at_s = now_s + self._least_s
        return True
