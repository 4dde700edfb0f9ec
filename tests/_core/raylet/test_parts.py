"""Parts of an object: each is asked for until it has come, none twice at a time."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.raylet.parts import Parts


@given(st.integers(1, 100), st.integers(1, 17), st.lists(st.tuples(st.booleans(), st.integers(0, 5))))
def test_every_byte_comes_once(size, step, steps):
    parts, here, asked = Parts(size, step), bytearray(size), {}
    for fails, pick in [*steps, *[(False, 0)] * (2 * size)]:
        claim = parts.claim() if len(asked) < 3 else None
        if claim is not None:
            start, length = claim
            assert start not in asked and not any(here[start : start + length])
            asked[start] = length
        elif asked:
            start = list(asked)[pick % len(asked)]
            length = asked.pop(start)
            if fails:
                parts.again(start)
            else:
                here[start : start + length] = b"\1" * length
                parts.came(start)
        assert parts.is_whole == all(here)
        assert max(sum(here) - step, 0) <= parts.come_bytes <= sum(here)
        for start in range(0, size, 7):
            whole = -(-(start + min(9, size - start)) // step) * step  # parts come whole
            assert parts.has(start, min(9, size - start)) == all(here[start - start % step : whole])
    assert parts.is_whole and parts.claim() is None
