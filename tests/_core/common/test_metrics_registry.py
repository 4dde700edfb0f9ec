"""What is recorded, and its text in Prometheus's format."""

import pytest

from ray._core.common import metrics
from ray._core.common.metrics import Family, Registry, Sample
from ray.util.metrics import Counter, Gauge, Histogram


@pytest.fixture
def registry(monkeypatch):
    import ray.util.metrics

    new = Registry()
    monkeypatch.setattr(ray.util.metrics, "registry", new)
    return new


def samples(registry):
    return [sample for family in registry.families({}) for sample in family.samples]


def test_a_counter_adds_up_by_tags(registry):
    counter = Counter("hits", tag_keys=("path",))
    for path in ("/a", "/b", "/a"):
        counter.inc(2, {"path": path})
    assert samples(registry) == [
        Sample("hits_total", (("path", "/a"),), 4),
        Sample("hits_total", (("path", "/b"),), 2),
    ]


def test_a_gauge_keeps_the_last_value(registry):
    gauge = Gauge("size")
    gauge.set(3)
    gauge.set(None)
    gauge.set(2.5)
    assert samples(registry) == [Sample("size", (), 2.5)]


def test_a_histogram_counts_up_to_each_boundary(registry):
    histogram = Histogram("latency", boundaries=[1, 0.5])
    for value in (0.5, 0.7, 1, 3):
        histogram.observe(value)
    assert samples(registry) == [
        Sample("latency_bucket", (("le", "0.5"),), 1),
        Sample("latency_bucket", (("le", "1.0"),), 3),
        Sample("latency_bucket", (("le", "+Inf"),), 4),
        Sample("latency_sum", (), 5.2),
        Sample("latency_count", (), 4),
    ]


def test_metrics_of_one_name_share_their_numbers(registry):
    Counter("same").inc()
    Counter("same").inc()
    assert samples(registry) == [Sample("same_total", (), 2)]


def test_a_tag_that_is_none_of_the_keys_is_dropped(registry):
    Gauge("size", tag_keys=("a",)).set(1, {"a": "1", "b": "2"})
    assert samples(registry) == [Sample("size", (("a", "1"),), 1)]


def test_a_metric_without_numbers_or_with_a_wrong_name_is_not_told(registry):
    Counter("silent")
    with pytest.warns(UserWarning):
        counter = Counter("no good")
    counter.inc()
    assert registry.families({}) == []


def test_the_text(registry):
    Counter("hits", 'how "many"\n', tag_keys=("path",)).inc(2, {"path": 'a"\\\n'})
    Gauge("size").set(1)
    assert metrics.text(registry.families({"NodeAddress": "1.2.3.4"})) == (
        '# HELP ray_hits_total how "many"\\n\n'
        "# TYPE ray_hits_total counter\n"
        'ray_hits_total{NodeAddress="1.2.3.4",path="a\\"\\\\\\n"} 2.0\n'
        "# HELP ray_size \n"
        "# TYPE ray_size gauge\n"
        'ray_size{NodeAddress="1.2.3.4"} 1.0\n'
    )


def test_what_several_processes_tell_of_one_metric_comes_under_one_heading():
    families = [
        Family("a", "gauge", "d", [Sample("a", (("w", "1"),), 1)]),
        Family("b", "gauge", "", [Sample("b", (), 1)]),
        Family("a", "gauge", "other words", [Sample("a", (("w", "2"),), 2)]),
        Family("a", "counter", "another kind", [Sample("a", (), 3)]),
    ]
    assert metrics.text(families) == (
        "# HELP ray_a d\n# TYPE ray_a gauge\n"
        'ray_a{w="1"} 1.0\nray_a{w="2"} 2.0\n'
        "# HELP ray_b \n# TYPE ray_b gauge\nray_b 1.0\n"
    )
