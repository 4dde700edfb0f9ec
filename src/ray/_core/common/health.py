"""How long who is silent or away is waited for, and when a node that is cut off ends itself. Floor: common, pure.

The two sides of one promise: the GCS gives a node up no sooner than `grace_s` after its connection broke, and a raylet
that cannot reach the GCS's machine has ended by `fence_s`, which is sooner. So no actor runs on both sides of a cut.
"""

from __future__ import annotations

from ray._core.common.config import Config


class Contact:
    """Since when the GCS has known that a node lives, as far as that node can tell: `since_s`, of a clock of its own.

    A ping proves nothing by itself: it may have been long under way, and its answer may be lost. But one that says that
    none was missed was sent after the answer to the ping before, which the GCS had no sooner than that came here.
    """

    def __init__(self) -> None:
        self.since_s = 0.0
        self._pinged_at_s = 0.0

    def __repr__(self) -> str:
        return f"<Contact since_s={self.since_s:.3f}>"

    def asked(self, at_s: float) -> None:
        """The GCS has answered what was sent `at_s`."""
        self.since_s = self._pinged_at_s = max(self.since_s, at_s)

    def pinged(self, missed: int, now_s: float) -> None:
        """A health check has come; `missed` as in Ping."""
        if missed == 0:
            self.since_s = max(self.since_s, self._pinged_at_s)
        if missed >= 0:
            self._pinged_at_s = now_s


def silence_s(period_s: float, timeout_s: float, threshold: int) -> float:
    """From the GCS's first ping without an answer until it gives the node up: so many timeouts, and periods between."""
    return threshold * timeout_s + (threshold - 1) * period_s


def grace_s(config: Config) -> float:
    """How long a raylet, driver or worker whose connection to the GCS broke may take to come back."""
    if config.gcs_peer_reconnect_grace_s >= 0:
        return config.gcs_peer_reconnect_grace_s
    return silence_s(*_health_check(config))


def fence_s(config: Config) -> float:
    """How long after the last sure contact a node that is cut off ends itself: a period before it can be declared dead.

    Counted from `Contact.since_s`. The GCS may do so `silence_s` after its first ping without an answer, or `grace_s`
    after it lost the connection, and both were later.
    """
    period_s, timeout_s, threshold = _health_check(config)
    given_up_s = min(silence_s(period_s, timeout_s, threshold), grace_s(config))
    return max(given_up_s - period_s, min(given_up_s, timeout_s) / 2)


def _health_check(config: Config) -> tuple[float, float, int]:
    period_s, timeout_s = config.health_check_period_ms / 1000, config.health_check_timeout_ms / 1000
    return period_s, timeout_s, config.health_check_failure_threshold
