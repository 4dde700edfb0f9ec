"""The GCS's tables."""

from ray._core.common.messages import NodeInfo, ReportResources
from ray._core.gcs.kv import KvTable
from ray._core.gcs.nodes import NodeTable


def test_put_without_overwrite_keeps_the_first_value():
    table = KvTable()
    assert table.put("n", b"k", b"1", overwrite=False)
    assert not table.put("n", b"k", b"2", overwrite=False)
    assert table.get("n", b"k") == b"1"
    assert table.get("other", b"k") is None


def test_delete_by_prefix_tells_what_went():
    table = KvTable()
    for key in (b"a1", b"a2", b"b1"):
        table.put("n", key, b"", overwrite=True)
    assert table.delete("n", b"a", by_prefix=True) == [b"a1", b"a2"]
    assert table.delete("n", b"zz", by_prefix=False) == []
    assert table.keys("n", b"") == [b"b1"]


def node(node_id):
    return NodeInfo(node_id, "h", 1, "p", "h", "n", False, "", "", {"CPU": 10_000})


def test_a_dead_node_stays_listed_and_reports_no_more():
    table = NodeTable()
    table.register(node(b"1"))
    dead = table.die(b"1", "R", "it went", 5)
    assert dead is not None and dead.state == "DEAD" and dead.death_message == "it went"
    assert table.die(b"1", "R", "again", 6) is None
    table.report(ReportResources(b"1", 9, {}, {}, []))
    assert table.views() == [] and [info.state for info in table.infos()] == ["DEAD"]


def test_an_older_report_changes_nothing():
    table = NodeTable()
    table.register(node(b"1"))
    table.report(ReportResources(b"1", 2, {"CPU": 5}, {"CPU": 10}, []))
    table.report(ReportResources(b"1", 1, {"CPU": 7}, {"CPU": 10}, []))
    assert table.views()[0].available == {"CPU": 5}


def test_schedulers_are_told_each_change_once_and_of_a_death_too():
    table = NodeTable()
    table.register(node(b"1"))
    assert [(v.node_id, v.labels) for v in table.take_changes()] == [(b"1", {"ray.io/node-id": "31"})]
    assert table.take_changes() == []
    table.report(ReportResources(b"1", 1, {"CPU": 7}, {"CPU": 10}, []))
    table.report(ReportResources(b"1", 2, {"CPU": 5}, {"CPU": 10}, []))
    assert [v.available for v in table.take_changes()] == [{"CPU": 5}]
    assert table.set_draining(b"1", True)
    assert [v.draining for v in table.take_changes()] == [True]
    table.die(b"1", "R", "it went", 5)
    assert [(v.node_id, v.alive) for v in table.take_changes()] == [(b"1", False)]
    assert not table.set_draining(b"1", True)
