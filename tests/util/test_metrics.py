"""`ray.util.metrics`. Source: Ray docs, "Adding Application-Level Metrics"."""

import pickle

import pytest

from ray.util.metrics import Counter, Gauge, Histogram


def test_what_a_metric_tells_of_itself():
    counter = Counter("told", description="d", tag_keys=("a", "b"))
    assert counter.info == {"name": "told", "description": "d", "tag_keys": ("a", "b"), "default_tags": {}}
    assert counter.set_default_tags({"a": "1"}) is counter
    assert counter.info["default_tags"] == {"a": "1"}
    assert Gauge("told_g").info["tag_keys"] == ()
    assert Histogram("told_h", boundaries=[0.1, 1]).info["boundaries"] == [0.1, 1]


def test_names_are_checked():
    with pytest.raises(ValueError, match="Empty name"):
        Counter("")
    for wrong in ("1a", "a b", "a-b", "a.b"):
        with pytest.warns(UserWarning, match="Invalid metric name"):
            Counter(wrong)
    with pytest.warns(FutureWarning, match=":"):
        Counter("a:b")
    with pytest.raises(TypeError):
        Counter(5)


def test_tag_keys_are_checked():
    for wrong in ("a", ["a"], (1,)):
        with pytest.raises(TypeError):
            Counter("keys", tag_keys=wrong)


def test_boundaries_are_checked():
    for wrong in (None, [], [0], [1, -1]):
        with pytest.raises(ValueError, match="boundaries"):
            Histogram("bounds", boundaries=wrong)


def test_tags_are_checked():
    counter = Counter("tagged", tag_keys=("a", "b"))
    for wrong in (None, {}, {"a": "1"}):
        with pytest.raises(ValueError, match=r"Missing value for tag key\(s\)"):
            counter.inc(1, wrong)
    with pytest.raises(TypeError, match="Tag values must be str"):
        counter.inc(1, {"a": 1, "b": "2"})
    counter.set_default_tags({"a": "1"})
    counter.inc(1, {"b": "2"})
    with pytest.raises(ValueError, match="Unrecognized tag key q"):
        counter.set_default_tags({"q": "1"})
    with pytest.raises(TypeError, match="Tag values must be str"):
        counter.set_default_tags({"a": 1})


def test_values_are_checked():
    counter, gauge, histogram = Counter("c"), Gauge("g"), Histogram("h", boundaries=[1])
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="must be >0"):
            counter.inc(wrong)
    for record in (counter.inc, gauge.set, histogram.observe):
        with pytest.raises(TypeError, match="int or float"):
            record("1")
    gauge.set(None)
    with pytest.raises(TypeError):
        histogram.observe(None)


def test_metrics_can_be_pickled():
    counter = Counter("pickled", "d", ("a",)).set_default_tags({"a": "1"})
    copy = pickle.loads(pickle.dumps(counter))
    assert copy.info == {"name": "pickled", "description": "d", "tag_keys": ("a",), "default_tags": {}}
    histogram = pickle.loads(pickle.dumps(Histogram("pickled_h", boundaries=[1, 2])))
    assert histogram.info["boundaries"] == [1, 2]
