"""The raylet's picture of other nodes: newer rows win, and what was sent somewhere is taken off at once."""

import msgspec

from ray._core.common.messages import NodeView
from ray._core.raylet.cluster_view import ClusterView

ROW = NodeView(b"1", "h", 1, "", {"CPU": 20}, {"CPU": 20}, {}, 1)


def at(version, **changes):
    return msgspec.structs.replace(ROW, version=version, **changes)


def test_only_news_are_news():
    view = ClusterView()
    assert view.update([at(2)])
    assert not view.update([at(2)])
    assert not view.update([at(1, available={"CPU": 0})])
    assert view.update([at(2, draining=True)])
    assert view.update([at(3, alive=False)])
    assert view.rows == {}
    assert not view.update([at(3, alive=False)])


def test_a_debit_counts_until_the_nodes_next_report():
    view = ClusterView()
    view.update([at(1)])
    view.debit(b"1", {"CPU": 15})
    assert view.rows[b"1"].available == {"CPU": 5}
    view.update([at(2)])
    assert view.rows[b"1"].available == {"CPU": 20}
    view.debit(b"unknown", {"CPU": 1})
    assert [row.node_id for row in view.others(b"0")] == [b"1"] and view.others(b"1") == []


def test_a_debit_that_no_report_follows_is_taken_back():
    """What was sent there may never arrive, and a node without news does not report."""
    view = ClusterView()
    view.update([at(1)])
    assert view.debit(b"1", {"CPU": 15}) == 1
    assert view.debit(b"1", {"CPU": 5}) is None  # one timer is enough
    assert view.undebit(b"1", 1) and view.rows[b"1"].available == {"CPU": 20}
    assert view.debit(b"1", {"CPU": 15}) == 1
    view.update([at(2, available={"CPU": 7})])
    assert not view.undebit(b"1", 1) and view.rows[b"1"].available == {"CPU": 7}
