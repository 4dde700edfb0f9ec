"""What is recorded, and its text in Prometheus's format."""

import pytest

from ray._private.metric_registry import Registry, Sample
from ray.util.metrics import Counter, Gauge, Histogram


@pytest.fixture
def registry(monkeypatch):
    import ray.util.metrics

    new = Registry()
    monkeypatch.setattr(ray.util.metrics, "registry", new)
    return new


def test_a_counter_adds_up_by_tags(registry):
    counter = Counter("hits", tag_keys=("path",))
    for path in ("/a", "/b", "/a"):
        counter.inc(2, {"path": path})
    assert registry.samples() == [
        Sample("hits_total", (("path", "/a"),), 4),
        Sample("hits_total", (("path", "/b"),), 2),
    ]


def test_a_gauge_keeps_the_last_value(registry):
    gauge = Gauge("size")
    gauge.set(3)
    gauge.set(None)
    gauge.set(2.5)
    assert registry.samples() == [Sample("size", (), 2.5)]


def test_a_histogram_counts_up_to_each_boundary(registry):
    histogram = Histogram("latency", boundaries=[1, 0.5])
    for value in (0.5, 0.7, 1, 3):
        histogram.observe(value)
    assert registry.samples() == [
        Sample("latency_bucket", (("le", "0.5"),), 1),
        Sample("latency_bucket", (("le", "1.0"),), 3),
        Sample("latency_bucket", (("le", "+Inf"),), 4),
        Sample("latency_sum", (), 5.2),
        Sample("latency_count", (), 4),
    ]


def test_metrics_of_one_name_share_their_numbers(registry):
    Counter("same").inc()
    Counter("same").inc()
    assert registry.samples() == [Sample("same_total", (), 2)]


def test_a_metric_with_a_wrong_name_is_discarded(registry):
    with pytest.warns(UserWarning):
        counter = Counter("no good")
    counter.inc()
    assert registry.samples() == []


def test_the_text(registry):
    Counter("hits", 'how "many"\n', tag_keys=("path",)).inc(2, {"path": 'a"\\\n'})
    Gauge("size").set(1)
    assert registry.text({"NodeAddress": "1.2.3.4"}) == (
        '# HELP ray_hits_total how "many"\\n\n'
        "# TYPE ray_hits_total counter\n"
        'ray_hits_total{NodeAddress="1.2.3.4",path="a\\"\\\\\\n"} 2.0\n'
        "# HELP ray_size \n"
        "# TYPE ray_size gauge\n"
        'ray_size{NodeAddress="1.2.3.4"} 1.0\n'
    )
