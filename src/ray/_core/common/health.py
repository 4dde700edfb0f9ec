"""How long who is silent or away is waited for, and when a node that is cut off ends itself. Floor: common, pure.

The two sides of one promise: the GCS gives a node up no sooner than `grace_s` after its connection broke, and a raylet
that cannot reach the GCS's machine has ended by `fence_s`, which is sooner. So no actor runs on both sides of a cut.
"""

from __future__ import annotations

from ray._core.common.config import Config


def silence_s(period_s: float, timeout_s: float, threshold: int) -> float:
    """From the GCS's first ping without an answer until it gives the node up: so many timeouts, and periods between."""
    return threshold * timeout_s + (threshold - 1) * period_s


def grace_s(config: Config) -> float:
    """How long a raylet, driver or worker whose connection to the GCS broke may take to come back."""
    if config.gcs_peer_reconnect_grace_s >= 0:
        return config.gcs_peer_reconnect_grace_s
    return silence_s(*_health_check(config))


def fence_s(config: Config) -> float:
    """How long after the last ping a node that is cut off ends itself: a period before the GCS can declare it dead.

    The GCS may do so `silence_s` after its first ping without an answer, which it sent after the last one that came, or
    `grace_s` after it lost the connection, which was no earlier either.
    """
    period_s, timeout_s, threshold = _health_check(config)
    given_up_s = min(silence_s(period_s, timeout_s, threshold), grace_s(config))
    return max(given_up_s - period_s, min(given_up_s, timeout_s) / 2)


def _health_check(config: Config) -> tuple[float, float, int]:
    period_s, timeout_s = config.health_check_period_ms / 1000, config.health_check_timeout_ms / 1000
    return period_s, timeout_s, config.health_check_failure_threshold
