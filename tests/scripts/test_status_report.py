"""The text of `ray status`, from what the GCS says. Source: cluster.md 1.5; compared with what Ray 2.60 prints."""

import datetime

import pytest

from ray._core.common import messages as m
from ray._core.common.resources import to_fixed
from ray.scripts.status_report import report, size

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 678)


def view(number, total, available, alive=True):
    return m.NodeView(bytes([number] * 28), "10.0.0.1", 1, "", to_fixed(total), to_fixed(available), {}, 1, alive)


def cluster(views, demands=(), groups=()):
    return m.ClusterResources(views=list(views), demands=list(demands), pending_groups=list(groups))


def test_a_small_cluster_reads_as_ray_prints_it():
    gib = 1024**3
    total = {"CPU": 4, "A": 1, "memory": 16 * gib, "object_store_memory": 2 * gib, "node:10.0.0.1": 1}
    free = {**total, "CPU": 1.5, "object_store_memory": 2 * gib - 1_000_000}
    groups = [
        m.PlacementGroupInfo(
            b"g", b"j", "", "", "PACK", [m.BundleSpec(0, to_fixed({"CPU": 8})), m.BundleSpec(1, to_fixed({"CPU": 8}))],
            False, b"", "PENDING", [],
        )
    ]  # fmt: skip
    demands = [
        m.Demand(to_fixed({"CPU": 1}), 2, ""),
        m.Demand(to_fixed({"CPU": 1, "zz": 1}), 1, "", infeasible=True),
        m.Demand(to_fixed({"CPU": 1}), 1, ""),
    ]
    node = "01" * 28
    assert (
        report(cluster([view(1, total, free)], demands, groups), [], NOW)
        == f"""\
======== Autoscaler status: 2026-01-02 03:04:05.000678 ========
Node status
---------------------------------------------------------------
Active:
 1 node_{node}
Pending:
 (no pending nodes)
Recent failures:
 (no failures)

Resources
---------------------------------------------------------------
Total Usage:
 0.0/1.0 A
 2.5/4.0 CPU
 0B/16.00GiB memory
 976.56KiB/2.00GiB object_store_memory

From request_resources:
 (none)
Pending Demands:
 {{'CPU': 1.0}}: 3+ pending tasks/actors
 {{'CPU': 1.0, 'zz': 1.0}}: 1+ pending tasks/actors
 {{'CPU': 8.0}} * 2 (PACK): 1+ pending placement groups"""
    )


def test_nothing_waits_and_verbose_goes_by_node():
    text = report(
        cluster([view(1, {"CPU": 1}, {}), view(2, {"CPU": 2}, {"CPU": 2})]), [], NOW, verbose=True, request_s=0.5
    )
    assert "GCS request time: 0.500000s" in text
    assert " 1.0/3.0 CPU" in text and "  1.0/1.0 CPU" in text and "  0.0/2.0 CPU" in text
    assert text.index("Node: " + "01" * 28) < text.index("Node: " + "02" * 28)
    assert " (no resource demands)" in text


def test_what_placement_groups_hold_is_told_apart():
    group = "f" * 36
    total = {"CPU": 4, f"CPU_group_{group}": 2, f"CPU_group_0_{group}": 2, f"bundle_group_{group}": 1000}
    free = {"CPU": 2, f"CPU_group_{group}": 1.5, f"CPU_group_0_{group}": 1.5, f"bundle_group_{group}": 999}
    text = report(cluster([view(1, total, free)]), [], NOW)
    assert " 0.5/4.0 CPU (0.5 used of 2.0 reserved in placement groups)" in text
    assert "group_" not in text.replace("placement groups", "")


def test_dead_nodes_are_failures_unless_they_were_stopped():
    def info(number, reason):
        return m.NodeInfo(
            bytes([number] * 28), "10.0.0.7", 1, "", "h", "n", False, "", "", {}, state="DEAD", death_reason=reason,
            death_message="it burnt",
        )  # fmt: skip

    text = report(cluster([]), [info(1, "UNEXPECTED_TERMINATION"), info(2, "EXPECTED_TERMINATION")], NOW)
    assert f" 10.0.0.7: node_{'01' * 28}, it burnt" in text
    assert "02" * 28 not in text
    assert " (no active nodes)" in text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0B"), (1023, "1023B"), (1024, "1.00KiB"), (1_000_000, "976.56KiB"), (3 * 1024**4, "3072.00GiB")],
)
def test_sizes(number, text):
    assert size(number) == text
