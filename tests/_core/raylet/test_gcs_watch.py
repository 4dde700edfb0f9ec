"""When a node that is cut off ends itself: before the GCS can have declared it dead, however the pings fall."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.raylet.gcs_watch import fence_s

SECONDS = st.floats(0.01, 100)


def declared_dead_s(period_s, timeout_s, threshold):
    """After the last ping that arrived, as `NodeManager._check` does: the next one may be sent at once."""
    now_s, missed = 0.0, 0
    while True:
        now_s, missed = now_s + timeout_s, missed + 1
        if missed >= threshold:
            return now_s
        now_s += period_s


@given(SECONDS, SECONDS, st.integers(1, 10))
def test_the_node_ends_first(period_s, timeout_s, threshold):
    assert fence_s(period_s, timeout_s, threshold) < declared_dead_s(period_s, timeout_s, threshold)


def test_with_the_defaults_it_waits_for_most_of_a_minute():
    assert fence_s(3, 10, 5) == 59
    assert declared_dead_s(3, 10, 5) == 62
