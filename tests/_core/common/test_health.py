"""When a node that is cut off ends itself: before the GCS can have given it up, whichever way that finds out."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.common.config import Config
from ray._core.common.health import Contact, fence_s, grace_s

MS = st.integers(10, 100_000)


def declared_dead_s(config):
    """After the last ping that arrived, as `NodeManager._check` does: the next one may be sent at once."""
    now_ms, missed = 0.0, 0
    while True:
        now_ms, missed = now_ms + config.health_check_timeout_ms, missed + 1
        if missed >= config.health_check_failure_threshold:
            return now_ms / 1000
        now_ms += config.health_check_period_ms


@given(MS, MS, st.integers(1, 10), st.just(-1.0) | st.floats(0.001, 100))
def test_the_node_ends_first(period_ms, timeout_ms, threshold, own_grace_s):
    config = Config(
        health_check_period_ms=period_ms,
        health_check_timeout_ms=timeout_ms,
        health_check_failure_threshold=threshold,
        gcs_peer_reconnect_grace_s=own_grace_s,
    )
    assert 0 < fence_s(config) < declared_dead_s(config)
    assert fence_s(config) < grace_s(config)


def test_with_the_defaults_it_waits_for_most_of_a_minute():
    config = Config()
    assert (fence_s(config), grace_s(config), declared_dead_s(config)) == (59, 62, 62)


def test_the_grace_can_be_set_apart_from_the_health_check():
    config = Config(gcs_peer_reconnect_grace_s=10)
    assert (fence_s(config), grace_s(config)) == (7, 10)


TRANSIT = st.floats(0, 20)


@given(st.lists(st.tuples(TRANSIT, st.booleans(), TRANSIT), min_size=5, max_size=30))
def test_the_gcs_has_known_of_the_node_no_earlier_than_that_counts_on(pings):
    """Each ping and each answer takes as long as it likes, in order, or is lost with all behind it."""
    contact, now_s, arrived_s, known_s, unanswered = Contact(), 100.0, 100.0, 100.0, 0
    contact.asked(100.0)
    for there_s, is_answered, back_s in pings:
        arrived_s = max(arrived_s, now_s + there_s)  # behind the one before
        contact.pinged(unanswered, arrived_s)
        assert contact.since_s <= known_s
        if is_answered and arrived_s + back_s < now_s + 10:
            known_s, unanswered = arrived_s + back_s, 0
            now_s = known_s + 3
        else:
            unanswered += 1
            now_s += 13
    contact.pinged(-1, arrived_s + 1000)
    assert contact.since_s <= known_s
