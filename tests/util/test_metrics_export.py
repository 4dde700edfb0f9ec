"""Metrics as a scraper gets them from a node. Source: Ray docs, "Collecting and monitoring metrics"."""

import re
import urllib.error
import urllib.request

import ray
from ray._common.test_utils import wait_for_condition
from ray.util.metrics import Counter, Gauge, Histogram

TIMEOUT_S = 30
"""Ray's own processes report every 10 s."""


def scrape(path="/metrics"):
    (node,) = ray.nodes()
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}{path}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/plain")
        return answer.read().decode()


def numbers(text, name):
    """(tags, value) of the samples of this name."""
    found = []
    for line in text.splitlines():
        matched = re.fullmatch(rf"{name}\{{(.*)\}} (\S+)", line)
        if matched:
            found.append((dict(re.findall(r'(\w+)="([^"]*)"', matched[1])), float(matched[2])))
    return found


@ray.remote(num_cpus=0)
class Recorder:
    def __init__(self):
        self.hits = Counter("test_hits", description="How often.", tag_keys=("path",))

    def hit(self, path):
        self.hits.inc(1, {"path": path})


def test_who_asks_for_the_nodes_health_hears_of_success(cluster):
    assert scrape("/api/local_raylet_healthz") == scrape("/api/healthz") == "success"


def test_what_drivers_and_actors_record_is_exported(cluster):
    Counter("test_hits", description="How often.", tag_keys=("path",)).inc(2, {"path": "/driver"})
    Gauge("test_size").set(3)
    histogram = Histogram("test_latency", boundaries=[0.1, 1])
    histogram.observe(0.5)
    histogram.observe(5)
    recorder = Recorder.remote()
    ray.get([recorder.hit.remote("/actor") for _ in range(3)])

    def arrived():
        return len(numbers(scrape(), "ray_test_hits_total")) == 2 and numbers(scrape(), "ray_test_size")

    wait_for_condition(arrived, timeout=TIMEOUT_S)
    text = scrape()
    hits = {tags["path"]: (value, tags) for tags, value in numbers(text, "ray_test_hits_total")}
    assert hits["/driver"][0] == 2
    assert hits["/actor"][0] == 3
    assert hits["/driver"][1]["WorkerId"] == ray.get_runtime_context().get_worker_id()
    assert hits["/actor"][1]["WorkerId"] != hits["/driver"][1]["WorkerId"]
    assert hits["/actor"][1]["Component"] == "core_worker"
    assert hits["/actor"][1]["NodeAddress"] == ray.nodes()[0]["NodeManagerAddress"]
    assert hits["/actor"][1]["Version"] == ray.__version__
    assert text.count("# TYPE ray_test_hits_total counter\n") == 1
    assert "# HELP ray_test_hits_total How often.\n" in text
    assert [value for _, value in numbers(text, "ray_test_size")] == [3]
    buckets = {tags["le"]: value for tags, value in numbers(text, "ray_test_latency_bucket")}
    assert (buckets["0.1"], buckets["1.0"], buckets["+Inf"]) == (0, 1, 2)
    assert [value for _, value in numbers(text, "ray_test_latency_count")] == [2]
    assert "# TYPE ray_test_latency histogram\n" in text


def test_numbers_of_the_node_are_exported(cluster):
    @ray.remote(num_cpus=3)
    class Holder:
        def ping(self):
            return 1

    holder = Holder.remote()
    ray.get(holder.ping.remote())

    def cpus():
        rows = numbers(scrape(), "ray_resources")
        return {tags["State"]: value for tags, value in rows if tags["Name"] == "CPU"}

    wait_for_condition(lambda: cpus() == {"AVAILABLE": 1, "USED": 3}, timeout=TIMEOUT_S)
    ray.kill(holder)
    text = scrape()
    ((_, total),) = numbers(text, "ray_node_mem_total")
    assert total > 1 << 20
    assert numbers(text, "ray_object_store_available_memory")
    assert numbers(text, "ray_object_store_used_memory")


def test_the_text_is_the_same_at_the_root(cluster):
    assert "ray_resources" in scrape("/")
