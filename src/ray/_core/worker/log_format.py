"""The prefix and the colours of a worker's line on the driver. Floor: worker, pure."""

from __future__ import annotations

from ray._core.common.log_settings import LogSettings
from ray._core.common.messages import ErrorEvent, LogLine
from ray._core.worker.log_dedup import Shown

_RESET, _CYAN, _YELLOW, _GREEN = "\x1b[0m", "\x1b[36m", "\x1b[33m", "\x1b[32m"
_BY_PID = ("\x1b[35m", "\x1b[36m", "\x1b[32m", "\x1b[90m", "\x1b[94m", "\x1b[34m")
HINT = (
    " (Ray deduplicates logs by default. Set RAY_DEDUP_LOGS=0 to disable log deduplication, or see "
    "https://docs.ray.io/en/master/ray-observability/user-guides/configure-logging.html#log-deduplication "
    "for more options.)"
)


def repeated(count: int, hint: str) -> str:
    """What stands behind a line that is shown for `count` of them."""
    return f"{_GREEN} [repeated {count}x across cluster]{hint}{_RESET}"


class LogFormat:
    """Args: own_ip: lines from other nodes say from which. The hint about deduplication is given once."""

    def __init__(self, settings: LogSettings, own_ip: str) -> None:
        self._settings, self._own_ip = settings, own_ip
        self._hint = HINT

    def prefix(self, source: LogLine) -> str:
        """ "(f pid=12, ip=10.0.0.2) ", coloured as the settings want it; "" when they want none."""
        if not self._settings.prefix:
            return ""
        parts = f"{source.name} " if source.name else ""
        where = "" if source.node_ip == self._own_ip else f", ip={source.node_ip}"
        color = _BY_PID[source.pid % len(_BY_PID)] if self._settings.color == 1 else _CYAN
        return self._paint(f"({parts}pid={source.pid}{where})", color) + " "

    def line(self, shown: Shown) -> str:
        text = self.prefix(shown.source) + shown.text
        if shown.repeats > 1:
            text += repeated(shown.repeats, self._hint)
            self._hint = ""
        return text + "\n"

    def event(self, event: ErrorEvent, since_start_s: float) -> str:
        """A message of raylet or autoscaler; the latter says how long after the driver's start."""
        source = f"autoscaler +{_duration(since_start_s)}" if event.source == "autoscaler" else event.source
        return f"{self._paint(f'({source})', _YELLOW)} {event.message}\n"

    def _paint(self, text: str, color: str) -> str:
        return text if self._settings.color == 0 else f"{color}{text}{_RESET}"


def _duration(seconds: float) -> str:
    """ "5s", "3m4s", "2h0m9s"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest}s"
