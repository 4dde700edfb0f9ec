"""What may happen only so often."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.raylet.throttle import Throttle


@given(least_s=st.floats(0, 10), gaps=st.lists(st.floats(0, 5)))
def test_it_happens_as_often_as_it_may_and_no_more(least_s, gaps):
    throttle, now_s, last_s = Throttle(least_s), 0.0, None
    for gap in gaps:
        now_s += gap
        may = last_s is None or now_s >= last_s + least_s
        assert throttle.passes(now_s) is may
        last_s = now_s if may else last_s
        assert throttle.open_at_s == last_s + least_s
