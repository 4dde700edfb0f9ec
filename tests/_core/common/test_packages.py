"""Packages go when the last who needs them has gone, and not before."""

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from ray._core.common.packages import PackageTable, Parts, in_parts, is_package, package_of, packages_of, part_keys


def test_packages_of_an_environment():
    env = {"working_dir": "gcs://a.zip", "py_modules": ["gcs://b.whl", "s3://c.zip"], "pip": {"packages": ["gcs://x"]}}
    assert packages_of(json.dumps(env)) == ["gcs://a.zip", "gcs://b.whl"]
    assert packages_of("") == packages_of('{"env_vars": {"A": "gcs://"}}') == []


def test_it_goes_with_its_last_holder():
    table = PackageTable()
    table.hold(b"job", ["a", "b"])
    table.hold(b"actor", ["a"])
    assert table.release(b"job") == ["b"]
    assert table.release(b"actor") == ["a"]
    assert table.release(b"nobody") == []


def test_a_fresh_upload_waits_for_its_first_holder():
    table = PackageTable()
    table.pin("a", 10.0)
    table.hold(b"job", ["a"])
    assert table.release(b"job") == []
    assert table.expire(9.9) == []
    assert table.expire(10.0) == ["a"]
    table.pin("b", 10.0)
    table.hold(b"job", ["b"])
    assert table.expire(11.0) == []
    assert table.release(b"job") == ["b"]


STEPS = st.tuples(st.sampled_from(["pin", "hold", "release", "tick"]), st.sampled_from("xyz"), st.sampled_from("ab"))


@given(st.lists(STEPS))
def test_what_is_needed_is_never_given_up_and_what_is_not_always_is(steps):
    table, holders, pins, kept, now_s = PackageTable(), {}, {}, set(), 0.0
    for action, who, uri in steps:
        gone = []
        if action == "pin":
            table.pin(uri, now_s + 3)
            pins[uri] = now_s + 3
            kept.add(uri)
        elif action == "hold":
            table.hold(who.encode(), [uri])
            holders.setdefault(uri, set()).add(who)
            kept.add(uri)
        elif action == "release":
            gone = table.release(who.encode())
            for each in holders.values():
                each.discard(who)
        else:
            now_s += 1
            gone = table.expire(now_s)
            pins = {each: until_s for each, until_s in pins.items() if until_s > now_s}
        kept -= set(gone)
        table.validate()
        assert kept == {each for each in "ab" if holders.get(each) or each in pins}


# ------------------------------------------------------------------ parts


@given(st.lists(st.binary(max_size=30)), st.integers(1, 20))
def test_a_package_comes_together_again_however_it_came_and_no_part_is_larger(pieces, part_size):
    parts, stored = Parts("gcs://a.zip", part_size), []
    for piece in pieces:
        stored += parts.feed(piece)
    stored += parts.finish()
    table = dict(stored)
    whole = b"".join(pieces)
    assert len(table) == len(stored) and stored[-1][0] == "gcs://a.zip", "who finds the URI finds the rest"
    keys = part_keys("gcs://a.zip", table["gcs://a.zip"])
    assert b"".join(table[key] for key in keys or ["gcs://a.zip"]) == whole
    assert set(keys) == set(table) - {"gcs://a.zip"}
    assert bool(keys) == (len(whole) > part_size)
    assert all(len(table[key]) <= part_size for key in keys)
    assert {package_of(key.encode()) for key in table} == {"gcs://a.zip"}
    assert list(in_parts("gcs://a.zip", io.BytesIO(whole), part_size)) == stored


def test_only_packages_are_cut():
    assert is_package("", b"gcs://a.zip") and is_package("", b"gcs://a.zip#7")
    assert not is_package("fun", b"gcs://a.zip") and not is_package("", b"other")
