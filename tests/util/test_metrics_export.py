"""Metrics as a scraper gets them from a node. Source: Ray docs, "Collecting and monitoring metrics"."""

import re
import threading
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


def by_state(text, metric, name):
    """Sums over all processes, as the boards draw them."""
    found = {}
    for tags, value in numbers(text, metric):
        if tags["Name"] == name:
            found[tags["State"]] = found.get(tags["State"], 0) + value
    return {state: value for state, value in found.items() if value}


def test_tasks_and_actors_are_counted_by_state(cluster):
    @ray.remote(num_cpus=2)
    def hold():
        threading.Event().wait()

    @ray.remote(num_cpus=0)
    def wait_for(refs):
        ray.get(refs)

    @ray.remote(num_cpus=0)
    def fail():
        raise ValueError

    @ray.remote(num_cpus=0)
    class Counted:
        def hold(self):
            threading.Event().wait()

    held = [hold.remote() for _ in range(3)]
    waiting = wait_for.remote(held)
    ray.wait([fail.remote(), fail.remote()], num_returns=2)
    idle, busy = Counted.remote(), Counted.options(name="busy").remote()
    ray.get(idle.__ray_ready__.remote())
    call = busy.hold.remote()

    def is_told():
        text = scrape()
        return (
            by_state(text, "ray_tasks", "hold") == {"RUNNING": 2, "PENDING_NODE_ASSIGNMENT": 1}
            and by_state(text, "ray_tasks", "wait_for") == {"RUNNING_IN_RAY_GET": 1}
            and by_state(text, "ray_tasks", "fail") == {"FAILED": 2}
            and by_state(text, "ray_tasks", "Counted.__init__") == {"FINISHED": 2}
            and by_state(text, "ray_tasks", "Counted.hold") == {"RUNNING": 1}
            and by_state(text, "ray_actors", "Counted") == {"ALIVE": 2, "ALIVE_IDLE": 1, "ALIVE_RUNNING_TASKS": 1}
        )

    wait_for_condition(is_told, timeout=TIMEOUT_S)
    del idle, busy, call
    for ref in [waiting, *held]:
        ray.cancel(ref, force=True)


def test_machine_and_processes_are_gauged(cluster):
    ray.get(ray.put(b"x" * 2**20))
    scrape()
    text = scrape()
    for name in (
        *("node_cpu_utilization", "node_cpu_count", "node_mem_used", "node_disk_usage", "node_disk_free"),
        *("node_network_sent", "node_network_receive_speed", "component_rss_mb", "component_cpu_percentage"),
    ):
        assert numbers(text, f"ray_{name}"), name
    ((tags, _),) = numbers(text, "ray_node_disk_utilization_percentage")
    assert (tags["IsHeadNode"], tags["RayNodeType"]) == ("true", "head")
    places = {tags["Location"]: value for tags, value in numbers(text, "ray_object_store_memory")}
    assert places.keys() == {"MMAP_SHM", "MMAP_DISK", "SPILLED"}
    components = {tags["Component"] for tags, _ in numbers(text, "ray_component_rss_bytes")}
    assert "raylet" in components


def test_the_text_is_the_same_at_the_root(cluster):
    assert "ray_resources" in scrape("/")
