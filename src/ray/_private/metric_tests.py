"""Helpers of tests that read Prometheus pages. Parsing needs the package `prometheus-client`."""

from __future__ import annotations

import dataclasses
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from typing import Any

SCRAPE_TIMEOUT_S = 10.0


@dataclasses.dataclass
class MetricSamplePattern:
    """Which samples are meant; None stands for any. `value` is compared as text."""

    name: str | None = None
    value: str | None = None
    partial_label_match: dict[str, str] | None = None

    def matches(self, sample: Any) -> bool:
        if self.name is not None and self.name != sample.name:
            return False
        if self.value is not None and self.value != str(sample.value):
            return False
        return all(sample.labels.get(label) == value for label, value in (self.partial_label_match or {}).items())


@dataclasses.dataclass
class PrometheusTimeseries:
    """What several scrapes gave: the newest sample of each series."""

    components_dict: dict[str, set[str]] = dataclasses.field(default_factory=dict)
    """The values of label "Component", by the address that was scraped."""
    metric_descriptors: dict[str, Any] = dataclasses.field(default_factory=dict)
    metric_samples: dict[frozenset[Any], Any] = dataclasses.field(default_factory=dict)

    def flush(self) -> None:
        """Forget all."""
        self.components_dict.clear()
        self.metric_descriptors.clear()
        self.metric_samples.clear()


def fetch_raw_prometheus(prom_addresses: Iterable[str], timeout: float | None = None) -> Iterator[tuple[str, str]]:
    """(address, page) of each "host:port" that answers."""
    for address in prom_addresses:
        url = f"http://{address}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=SCRAPE_TIMEOUT_S if timeout is None else timeout) as answer:
                yield address, answer.read().decode()
        except ConnectionError:
            continue  # the process there has ended: its metrics with it
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise


def fetch_prometheus_timeseries(
    prom_addreses: Iterable[str], result: PrometheusTimeseries, timeout: float | None = None
) -> PrometheusTimeseries:
    """Scrape all, into `result`, which is returned."""
    from prometheus_client.parser import text_string_to_metric_families

    addresses = list(prom_addreses)
    for address in addresses:
        result.components_dict.setdefault(address, set())
    for address, page in fetch_raw_prometheus(addresses, timeout):
        for family in text_string_to_metric_families(page):
            result.metric_descriptors[family.name] = family
            for sample in family.samples:
                series = frozenset([*sample.labels.items(), ("_metric_name", sample.name)])
                result.metric_samples[series] = sample
                if "Component" in sample.labels:
                    result.components_dict[address].add(sample.labels["Component"])
    return result


def fetch_prometheus(
    prom_addresses: Iterable[str], timeout: float | None = None
) -> tuple[dict[str, set[str]], dict[str, Any], list[Any]]:
    """Components by address, families by name, all samples."""
    found = fetch_prometheus_timeseries(prom_addresses, PrometheusTimeseries(), timeout)
    return found.components_dict, found.metric_descriptors, list(found.metric_samples.values())


def fetch_prometheus_metric_timeseries(
    prom_addresses: Iterable[str], result: PrometheusTimeseries, timeout: float | None = None
) -> dict[str, list[Any]]:
    """Samples by name, after one more scrape."""
    by_name: dict[str, list[Any]] = {}
    for sample in fetch_prometheus_timeseries(prom_addresses, result, timeout).metric_samples.values():
        by_name.setdefault(sample.name, []).append(sample)
    return by_name


def fetch_prometheus_metrics(prom_addresses: Iterable[str]) -> dict[str, list[Any]]:
    """Samples by name."""
    return fetch_prometheus_metric_timeseries(prom_addresses, PrometheusTimeseries())


def raw_metric_timeseries(info: Any, result: PrometheusTimeseries) -> dict[str, list[Any]]:
    """Samples of a node by name. `info`: what `ray.init` returned."""
    address = f"{info['node_ip_address']}:{info['metrics_export_port']}"
    return fetch_prometheus_metric_timeseries([address], result)


def get_metric_check_condition(
    metrics_to_check: list[MetricSamplePattern], timeseries: PrometheusTimeseries, export_addr: str | None = None
) -> Callable[[], bool]:
    """A predicate for `wait_for_condition`: each pattern matches some sample.

    Args:
        export_addr: "host:port"; default: of the node that this process is connected to.
    """

    def are_all_there() -> bool:
        import ray

        node = next(node for node in ray.nodes() if node["NodeID"] == ray.get_runtime_context().get_node_id())
        address = export_addr or f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}"
        samples = fetch_prometheus_timeseries([address], timeseries).metric_samples.values()
        return all(any(pattern.matches(sample) for sample in samples) for pattern in metrics_to_check)

    return are_all_there
