"""Deduplication of workers' lines with the interface that Ray's own tests use: batches are dicts, as they were on Ray's
wire. `ray._core.worker.log_dedup` decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ray._core.common.messages import LogLine
from ray._core.worker import log_dedup
from ray._core.worker.log_format import HINT, repeated


class LogDeduplicator:
    """Args: agg_window_s: how long lines are held. allow_re, skip_re: of lines that are never held, or never shown."""

    _hint = HINT
    """Is given once in a process."""

    def __init__(
        self,
        agg_window_s: int,
        allow_re: str | None,
        skip_re: str | None,
        *,
        _timesource: Callable[[], float] | None = None,
    ) -> None:
        self._dedup = log_dedup.LogDeduplicator(agg_window_s, allow_re or "", skip_re or "")
        self._now_s = _timesource or time.time
        self._metadata: dict[tuple[str, int], dict[str, Any]] = {}

    def deduplicate(self, batch: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What to show now: the batch with those of its lines that are shown at once, then held lines."""
        metadata = {name: value for name, value in batch.items() if name != "lines"}
        self._metadata[batch["ip"], batch["pid"]] = metadata
        line = LogLine(b"", batch["ip"], batch["pid"], "", bool(batch.get("is_err")), list(batch["lines"]))
        now_s = self._now_s()
        shown = [each.text for each in self._dedup.add(line, now_s)]
        return [{**metadata, "lines": shown}, *map(self._released, self._dedup.expire(now_s))]

    def flush(self) -> list[dict[str, Any]]:
        """Everything held."""
        return [self._released(each) for each in self._dedup.flush()]

    def _released(self, shown: log_dedup.Shown) -> dict[str, Any]:
        text = shown.text
        if shown.repeats > 1:
            text += repeated(shown.repeats, LogDeduplicator._hint)
            LogDeduplicator._hint = ""
        return {**self._metadata[shown.source.node_ip, shown.source.pid], "lines": [text]}
