"""Which lines of many workers the driver shows at once, and which it counts and shows once for all.

Floor: worker, pure. Source: Ray docs, "Log deduplication": the first line of a pattern is shown at once; lines of the
same pattern from other processes within the window are shown together, as the last of them with a count.
"""

from __future__ import annotations

import dataclasses
import re

from ray._core.common.messages import LogLine

_DIGIT = re.compile(r"\d")


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """A line to show; `repeats` above 1: it stands for so many."""

    source: LogLine
    text: str
    repeats: int = 1


@dataclasses.dataclass(slots=True)
class _Pattern:
    since_s: float
    sources: set[tuple[str, int]]
    last: Shown
    held: int = 0


def pattern(text: str) -> str:
    """What lines that differ in words with numbers alone have in common: the other words."""
    return " ".join(word for word in text.split() if not _DIGIT.search(word))


class LogDeduplicator:
    """Args: window_s: how long lines are held; 0 still holds those of one turn. allow, skip: regular expressions, ""
    for none (see LogSettings)."""

    def __init__(self, window_s: float, allow: str = "", skip: str = "") -> None:
        self._window_s = window_s
        self._allow = re.compile(allow) if allow else None
        self._skip = re.compile(skip) if skip else None
        self._recent: dict[tuple[str, bool], _Pattern] = {}  # by pattern and stream, oldest window first

    def __repr__(self) -> str:
        return f"<LogDeduplicator patterns={len(self._recent)} held={sum(p.held for p in self._recent.values())}>"

    @property
    def next_at_s(self) -> float | None:
        """When `expire` has something to do."""
        return next((known.since_s + self._window_s for known in self._recent.values()), None)

    def add(self, batch: LogLine, now_s: float) -> list[Shown]:
        """What to show now of these lines (after what has expired by now, see `expire`)."""
        shown: list[Shown] = []
        source = (batch.node_ip, batch.pid)
        for text in batch.lines:
            if self._skip is not None and self._skip.search(text):
                continue
            key = (pattern(text), batch.is_err)
            if not key[0] or (self._allow is not None and self._allow.search(text)):
                shown.append(Shown(batch, text))
                continue
            known = self._recent.get(key)
            if known is None:
                self._recent[key] = _Pattern(now_s, {source}, Shown(batch, text))
                shown.append(Shown(batch, text))
                continue
            known.sources.add(source)
            if len(known.sources) == 1:
                shown.append(Shown(batch, text))
            else:
                known.last = Shown(batch, text)
                known.held += 1
        return shown

    def expire(self, now_s: float) -> list[Shown]:
        """Held lines whose window is over. A pattern of which several were held stays known for another window."""
        shown: list[Shown] = []
        for key, known in list(self._recent.items()):
            if now_s - known.since_s < self._window_s:
                break
            del self._recent[key]
            shown += self._released(known)
            if known.held > 1:
                known.since_s, known.held = now_s, 0
                self._recent[key] = known
        return shown

    def flush(self) -> list[Shown]:
        """Everything held, at the end of the session."""
        recent, self._recent = self._recent, {}
        return [each for known in recent.values() for each in self._released(known)]

    def _released(self, known: _Pattern) -> list[Shown]:
        return [dataclasses.replace(known.last, repeats=known.held)] if known.held else []
